// Self-checking bench of {{module}}, without delays: loads the memories, runs the engine, checks every word.
// Plusargs: +log=FILE the accepted words (output.hex), +stress=SEED load gaps and back-pressure (0, none),
// +runs=N runs of what was loaded (1).  A line of the log, as of expected.hex: cycle of acceptance _ word.
module bench (
    input wire clock
);
    localparam WORD_BITS = {{out_word_bits}};
    localparam WORDS = {{words}};
    localparam LIMIT = {{limit}};
    localparam LAST_SELECT = {{last_select}};
    localparam PO = {{po}};
    localparam RESETTING = 0, LOADING = 1, STARTING = 2, RUNNING = 3, FINISHING = 4, FINISHED = 5;

{{image_declarations}}
    reg [32+{{out_digits}}*4-1:0] expected [0:WORDS-1];

    reg reset = 1;
    reg load_valid = 0;
    reg [{{load_select_bits}}-1:0] load_select = 0;
    reg [{{load_lane_bits}}-1:0] load_lane = 0;
    reg [{{load_address_bits}}-1:0] load_address = 0;
    reg [{{load_bits}}-1:0] load_data = 0;
    reg start = 0;
    reg out_ready = 0;
    wire busy;
    wire out_valid;
    wire [WORD_BITS-1:0] out_word;

    {{module}} engine (
        .clock(clock),
        .reset(reset),
        .load_valid(load_valid),
        .load_select(load_select),
        .load_lane(load_lane),
        .load_address(load_address),
        .load_data(load_data),
        .start(start),
        .busy(busy),
        .out_ready(out_ready),
        .out_valid(out_valid),
        .out_word(out_word)
    );

    integer state = RESETTING;
    integer select = 0;
    integer lane = 0;
    integer address = 0;
    integer position = 0;
    integer depth = 0;
    integer lanes = 0;
    integer index = 0;
    integer run = 1;
    integer runs = 1;
    integer errors = 0;
    integer log = 0;
    reg [31:0] stress = 0;
    reg [31:0] noise = 1;
    reg [31:0] cycle = 0;
    reg [31:0] wanted_cycle = 0;
    reg [WORD_BITS-1:0] wanted_word = 0;
    reg [8*256-1:0] log_name = "output.hex";

    initial begin
{{image_reads}}
        $readmemh("expected.hex", expected);
        if ($value$plusargs("log=%s", log_name)) begin end
        if ($value$plusargs("stress=%d", stress)) begin end
        if ($value$plusargs("runs=%d", runs)) begin end
        noise = stress ^ 32'h9e3779b9;
        if (noise == 0) noise = 1;
        log = $fopen(log_name, "w");
    end

    // A quarter of the cycles, under stress.
    wire pause = stress != 0 && noise[0] && noise[3];

    always @(posedge clock) begin
        noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
        case (state)
            RESETTING: begin
                cycle <= cycle + 1;
                if (cycle == 3) begin
                    reset <= 0;
                    state <= LOADING;
                end
            end

            LOADING: begin
                load_valid <= !pause;
                if (!pause) begin
                    load_select <= select;
                    load_lane <= lane;
                    load_address <= address;
                    lanes = PO;
                    case (select)
{{image_cases}}
                        default: begin end
                    endcase
                    position <= position + 1;
                    address <= address + 1;
                    if (address == depth - 1) begin
                        address <= 0;
                        lane <= lane + 1;
                        if (lane == lanes - 1) begin
                            lane <= 0;
                            position <= 0;
                            select <= select + 1;
                            if (select == LAST_SELECT) state <= STARTING;
                        end
                    end
                end
            end

            STARTING: begin
                load_valid <= 0;
                start <= 1;
                cycle <= 0;
                index <= 0;
                out_ready <= !pause;
                state <= RUNNING;
            end

            RUNNING: begin
                start <= 0;
                cycle <= cycle + 1;
                out_ready <= !pause;
                if (out_valid && out_ready) begin
                    $fwrite(log, "%h_%h\n", cycle, out_word);
                    index <= index + 1;
                    if (index >= WORDS) begin
                        $display("word %0d: surplus", index);
                        errors = errors + 1;
                    end
                    else begin
                        wanted_cycle = expected[index] >> ({{out_digits}} * 4);
                        wanted_word = expected[index];
                        if (out_word !== wanted_word) begin
                            if (errors < 10) $display("word %0d: %h, expected %h", index, out_word, wanted_word);
                            errors = errors + 1;
                        end
                        if (stress == 0 && cycle != wanted_cycle) begin
                            if (errors < 10) $display("word %0d: cycle %0d, expected %0d", index, cycle, wanted_cycle);
                            errors = errors + 1;
                        end
                    end
                end
                if (cycle > LIMIT) begin
                    $display("still busy after %0d cycles", cycle);
                    errors = errors + 1;
                    state <= FINISHING;
                end
                else if (cycle != 0 && !busy) begin
                    if (index != WORDS) begin
                        $display("%0d words, expected %0d", index, WORDS);
                        errors = errors + 1;
                    end
                    run <= run + 1;
                    state <= run == runs ? FINISHING : STARTING;
                end
            end

            FINISHING: begin
                if (errors == 0) $display("PASS {{module}}: %0d words, %0d runs", WORDS, runs);
                else $display("FAIL {{module}}: %0d errors", errors);
                $fclose(log);
                $finish;
                state <= FINISHED;
            end

            default: begin end
        endcase
    end
endmodule
