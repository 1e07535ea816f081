// Self-checking bench of {{module}}, without delays: loads the memories, offers what the sources hold, checks every word.
// Plusargs: +log=FILE the words that passed (output.hex), +stress=SEED gaps in loading, offering and taking (0, none),
// +runs=N runs of what was loaded (1), +flow=1 without a pause between them (always so under stress), +reset=N a run before them that a reset ends after N cycles (0, none).
// A line of the log, as of expected.hex: cycle _ word, counted from the first word that is taken.
module bench (
    input wire clock
);
    localparam WORD_BITS = {{sink_bits}};
    localparam WORDS = {{words}};
    localparam GROUPS = {{groups}};
    localparam [WORD_BITS-1:0] MASK = {{sink_bits}}'h{{mask}};
    localparam LOADS = {{loads}};
    localparam LIMIT = {{limit}};
    localparam QUIET = 64;
    localparam RESETTING = 0, LOADING = 1, STARTING = 2, RUNNING = 3, ENDING = 4, FINISHED = 5;

    reg [{{line_bits}}-1:0] load [0:{{load_lines}}-1];
    reg [32+{{sink_digits}}*4-1:0] expected [0:{{word_lines}}-1];
    reg reset = 1;
    reg load_valid = 0;
    reg [{{load_select_bits}}-1:0] load_select = 0;
    reg [{{load_lane_bits}}-1:0] load_lane = 0;
    reg [{{load_address_bits}}-1:0] load_address = 0;
    reg [{{load_bits}}-1:0] load_data = 0;
    reg sink_ready = 0;
    wire sink_valid;
    wire [WORD_BITS-1:0] sink_word;
    wire [3:0] fault;
{{source_declarations}}
    {{module}} stage (
        .clock(clock),
        .reset(reset),
        .load_valid(load_valid),
        .load_select(load_select),
        .load_lane(load_lane),
        .load_address(load_address),
        .load_data(load_data),{{source_ports}}
        .sink_valid(sink_valid),
        .sink_ready(sink_ready),
        .sink_word(sink_word),
        .fault(fault)
    );

    integer state = RESETTING;
    integer place = 0;
    integer index = 0;
    integer group = 0;
    integer quiet = 0;
    integer run = 1;
    integer round = 1;
    integer rounds = 1;
    integer runs = 1;
    integer spoil = 0;
    integer errors = 0;
    integer log = 0;
    reg loaded = 0;
    reg started = 0;
    reg [{{line_bits}}-1:0] line = 0;
    reg flow = 0;
    reg [31:0] stress = 0;
    reg [31:0] noise = 1;
    reg [31:0] cycle = 0;
    reg [31:0] age = 0;
    reg [31:0] wanted_cycle = 0;
    reg [WORD_BITS-1:0] wanted_word = 0;
    reg [WORD_BITS-1:0] word = 0;
    reg [8*256-1:0] log_name = "output.hex";

    initial begin
        if (LOADS != 0) $readmemh("load.hex", load);
        if (WORDS != 0) $readmemh("expected.hex", expected);{{source_reads}}
        if ($value$plusargs("log=%s", log_name)) begin end
        if ($value$plusargs("stress=%d", stress)) begin end
        if ($value$plusargs("runs=%d", runs)) begin end
        if ($value$plusargs("flow=%d", flow)) begin end
        if ($value$plusargs("reset=%d", spoil)) begin end
        noise = stress ^ 32'h9e3779b9;
        if (noise == 0) noise = 1;
        rounds = stress != 0 || flow ? runs : 1;
        log = $fopen(log_name, "w");
    end

    // A quarter of the cycles, under stress.
    wire pause = stress != 0 && noise[0] && noise[3];
    wire pause_0 = stress != 0 && noise[5] && noise[12];
    wire pause_1 = stress != 0 && noise[7] && noise[17];
    wire passes = 0{{source_passes}};
    wire [31:0] now = started ? cycle : 0;

    always @(posedge clock) begin
        noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
        case (state)
            RESETTING: begin
                age <= age + 1;
                reset <= 1;
                sink_ready <= 0;{{source_restarts}}
                if (age == 3) begin
                    reset <= 0;
                    state <= loaded || LOADS == 0 ? STARTING : LOADING;
                end
            end

            LOADING: begin
                load_valid <= !pause;
                if (!pause) begin
                    line = load[place];
                    load_data <= line;
                    load_address <= line >> {{load_digits}} * 4;
                    load_lane <= line >> ({{load_digits}} + 6) * 4;
                    load_select <= line >> ({{load_digits}} + 8) * 4;
                    place <= place + 1;
                    if (place == LOADS - 1) begin
                        loaded <= 1;
                        state <= STARTING;
                    end
                end
            end

            STARTING: begin
                load_valid <= 0;
                started <= 0;
                index <= 0;
                round <= 1;
                group <= 0;
                quiet <= 0;
                age <= 0;
                sink_ready <= !pause;{{source_restarts}}
                state <= RUNNING;
            end

            RUNNING: begin
                age <= age + 1;
                if (passes || started) begin
                    started <= 1;
                    cycle <= now + 1;
                end
                sink_ready <= !pause;{{source_offers}}
                if (sink_valid && sink_ready && spoil == 0) begin
                    word = group == GROUPS - 1 ? sink_word & MASK : sink_word;
                    $fwrite(log, "%h_%h\n", now, word);
                    index <= index + 1;
                    if (index == WORDS - 1 && round < rounds) begin
                        index <= 0;
                        round <= round + 1;
                    end
                    group <= group == GROUPS - 1 ? 0 : group + 1;
                    if (index >= WORDS) begin
                        $display("word %0d: surplus", index);
                        errors = errors + 1;
                    end
                    else begin
                        wanted_cycle = expected[index] >> ({{sink_digits}} * 4);
                        wanted_word = expected[index];
                        if (word !== wanted_word) begin
                            if (errors < 10) $display("word %0d: %h, expected %h", index, word, wanted_word);
                            errors = errors + 1;
                        end
                        if (stress == 0 && rounds == 1 && now != wanted_cycle) begin
                            if (errors < 10) $display("word %0d: cycle %0d, expected %0d", index, now, wanted_cycle);
                            errors = errors + 1;
                        end
                    end
                end
                quiet <= index >= WORDS{{source_done}} ? quiet + 1 : 0;
                if (spoil != 0) begin
                    if (age == spoil) begin
                        spoil <= 0;
                        age <= 0;
                        state <= RESETTING;
                    end
                end
                else if (age > LIMIT * rounds) begin
                    $display("%0d of %0d words after %0d cycles", index, WORDS, age);
                    errors = errors + 1;
                    state <= ENDING;
                end
                else if (quiet == QUIET) begin
                    if (fault !== 4'd{{fault}}) begin
                        $display("fault %0d, expected {{fault}}", fault);
                        errors = errors + 1;
                    end
                    run <= run + 1;
                    state <= run == runs || rounds == runs ? ENDING : STARTING;
                end
            end

            ENDING: begin
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
