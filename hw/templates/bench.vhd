-- Self-checking bench of {{module}}: loads the memories, offers what the sources hold, checks every word.
-- Generics: STRESS a seed of gaps in loading, offering and taking (0, none), RUNS of what was loaded, FLOW 1 for none of
-- the pauses between them (always so under stress), SPOIL cycles of a run before them that a reset ends (0, none).
-- Writes ghdl.out; a line of it, as of expected.hex: cycle _ word, counted from the first word that is taken.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;

entity bench is
    generic (STRESS: natural := 0; RUNS: positive := 1; SPOIL: natural := 0; FLOW: natural := 0);
end entity bench;

architecture simulation of bench is
    constant WORD_BITS: positive := {{sink_bits}};
    constant WORDS: natural := {{words}};
    constant GROUPS: positive := {{groups}};
    constant MASK: std_logic_vector({{sink_digits}} * 4 - 1 downto 0) := x"{{mask}}";
    constant LOADS: natural := {{loads}};
    constant LIMIT: positive := {{limit}};
    constant QUIET: positive := 64;

    type states is (RESETTING, LOADING, STARTING, RUNNING, FINISHED);
    signal stopped: boolean := false;
    signal clock: std_logic := '0';
    signal reset: std_logic := '1';
    signal load_valid: std_logic := '0';
    signal load_select: unsigned({{load_select_bits}}-1 downto 0) := (others => '0');
    signal load_lane: unsigned({{load_lane_bits}}-1 downto 0) := (others => '0');
    signal load_address: unsigned({{load_address_bits}}-1 downto 0) := (others => '0');
    signal load_data: unsigned({{load_bits}}-1 downto 0) := (others => '0');
    signal sink_valid: std_logic;
    signal sink_ready: std_logic := '0';
    signal sink_word: unsigned(WORD_BITS-1 downto 0);
    signal fault: unsigned(3 downto 0);{{source_declarations}}

    function lower(text: string) return string is
        variable result: string(text'range) := text;
    begin
        for i in text'range loop
            if text(i) >= 'A' and text(i) <= 'Z' then
                result(i) := character'val(character'pos(text(i)) + 32);
            end if;
        end loop;
        return result;
    end function;
begin
    stage: entity work.{{module}} port map (
        clock => clock,
        reset => reset,
        load_valid => load_valid,
        load_select => load_select,
        load_lane => load_lane,
        load_address => load_address,
        load_data => load_data,{{source_ports}}
        sink_valid => sink_valid,
        sink_ready => sink_ready,
        sink_word => sink_word,
        fault => fault
    );

    tick: process
    begin
        while not stopped loop
            wait for 5 ns;
            clock <= not clock;
        end loop;
        wait;
    end process;

    drive: process (clock)
        file load: text;
        file expected: text;
        file log: text open write_mode is "ghdl.out";
        variable row: line;
        variable opened: boolean := false;{{source_variables}}
        variable load_bits: std_logic_vector({{line_bits}} - 1 downto 0);
        variable state: states := RESETTING;
        variable noise: unsigned(31 downto 0) := to_unsigned(STRESS, 32) xor x"9e3779b9";
        variable place: natural := 0;
        variable index: natural := 0;
        variable lane_group: natural := 0;
        variable still: natural := 0;
        variable age: natural := 0;
        variable cycle: natural := 0;
        variable begun: boolean := false;
        variable spoiling: natural := SPOIL;
        variable run: positive := 1;
        variable round: positive := 1;
        variable rounds: positive := 1;
        variable errors: natural := 0;
        variable word: std_logic_vector({{sink_digits}} * 4 - 1 downto 0);

        -- A quarter of the calls, under stress.
        impure function pause(seed: natural) return boolean is
        begin
            noise := noise(30 downto 0) & (noise(31) xor noise(21) xor noise(1) xor noise(0));
            return STRESS /= 0 and noise(seed) = '1' and noise(seed + 5) = '1';
        end function;

        procedure complain(text: string) is
        begin
            if errors < 10 then
                report text severity note;
            end if;
            errors := errors + 1;
        end procedure;

        procedure check(found: string; wanted: string) is
            constant offset: integer := wanted'low - found'low;
        begin
            if wanted'length /= found'length then
                complain("word " & integer'image(index) & ": " & found & ", expected " & wanted);
            else
                for i in found'range loop
                    if ((STRESS = 0 and rounds = 1) or i - found'low > 8) and found(i) /= wanted(i + offset) then
                        complain("word " & integer'image(index) & ": " & found & ", expected " & wanted);
                        exit;
                    end if;
                end loop;
            end if;
        end procedure;

        procedure take is
            variable found: line;
        begin
            word := (others => '0');
            word(WORD_BITS - 1 downto 0) := std_logic_vector(sink_word);
            if lane_group = GROUPS - 1 then
                word := word and MASK;
                lane_group := 0;
            else
                lane_group := lane_group + 1;
            end if;
            write(found, lower(to_hstring(to_unsigned(cycle, 32)) & "_" & to_hstring(word)));
            if index < WORDS then
                readline(expected, row);
                check(found.all, row.all);
            else
                complain("word " & integer'image(index) & ": surplus");
            end if;
            writeline(log, found);
            index := index + 1;
            if index = WORDS and round < rounds then
                index := 0;
                round := round + 1;
                file_close(expected);
                file_open(expected, "expected.hex", read_mode);
            end if;
        end procedure;
    begin
        if rising_edge(clock) and state /= FINISHED then
            if not opened then
                opened := true;
                file_open(load, "load.hex", read_mode);
                file_open(expected, "expected.hex", read_mode);{{source_opens}}
            end if;
            case state is
                when RESETTING =>
                    reset <= '1';
                    sink_ready <= '0';{{source_restarts}}
                    age := age + 1;
                    if age = 4 then
                        reset <= '0';
                        state := STARTING;
                        if place < LOADS then
                            state := LOADING;
                        end if;
                    end if;

                when LOADING =>
                    load_valid <= '0';
                    if not pause(0) then
                        readline(load, row);
                        hread(row, load_bits);
                        load_valid <= '1';
                        load_data <= unsigned(load_bits(load_data'range));
                        load_address <= resize(unsigned(load_bits(load_bits'high - 16 downto load_bits'high - 39)), load_address'length);
                        load_lane <= resize(unsigned(load_bits(load_bits'high - 8 downto load_bits'high - 15)), load_lane'length);
                        load_select <= resize(unsigned(load_bits(load_bits'high downto load_bits'high - 7)), load_select'length);
                        place := place + 1;
                        if place = LOADS then
                            state := STARTING;
                        end if;
                    end if;

                when STARTING =>
                    load_valid <= '0';
                    sink_ready <= '0';
                    if not pause(3) then
                        sink_ready <= '1';
                    end if;{{source_restarts}}
                    file_close(expected);
                    file_open(expected, "expected.hex", read_mode);
                    begun := false;
                    cycle := 0;
                    index := 0;
                    round := 1;
                    if STRESS /= 0 or FLOW /= 0 then
                        rounds := RUNS;
                    end if;
                    lane_group := 0;
                    still := 0;
                    age := 0;
                    state := RUNNING;

                when RUNNING =>
                    age := age + 1;
                    if begun then
                        cycle := cycle + 1;
                    elsif false{{source_passes}} then
                        begun := true;
                    end if;
                    if sink_valid = '1' and sink_ready = '1' and spoiling = 0 then
                        take;
                    end if;
                    if index >= WORDS{{source_done}} then
                        still := still + 1;
                    else
                        still := 0;
                    end if;{{source_offers}}
                    sink_ready <= '0';
                    if not pause(3) then
                        sink_ready <= '1';
                    end if;
                    if spoiling /= 0 then
                        if age >= spoiling then
                            spoiling := 0;
                            age := 0;
                            state := RESETTING;
                        end if;
                    elsif age > LIMIT * rounds or still > QUIET then
                        if index /= WORDS or age > LIMIT * rounds then
                            complain(integer'image(index) & " of " & integer'image(WORDS) & " words after "
                                & integer'image(age) & " cycles");
                        elsif fault /= {{fault}} then
                            complain("fault " & integer'image(to_integer(fault)) & ", expected {{fault}}");
                        end if;
                        run := run + 1;
                        state := STARTING;
                        if run > RUNS or rounds = RUNS or age > LIMIT * rounds then
                            if errors = 0 then
                                report "PASS {{module}}: " & integer'image(WORDS) & " words, " & integer'image(RUNS) & " runs"
                                    severity note;
                            else
                                report "FAIL {{module}}: " & integer'image(errors) & " errors" severity note;
                            end if;
                            state := FINISHED;
                            stopped <= true;
                        end if;
                    end if;

                when FINISHED =>
                    null;
            end case;
        end if;
    end process;
end architecture simulation;
