-- Self-checking bench of {{module}}: loads the memories, runs the engine, checks every word.
-- Generics: STRESS a seed of load gaps and back-pressure (0, none), RUNS of what was loaded.
-- Writes ghdl.out; a line of it, as of expected.hex: cycle of acceptance _ word.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;

entity bench is
    generic (STRESS: natural := 0; RUNS: positive := 1);
end entity bench;

architecture simulation of bench is
    constant WORD_BITS: positive := {{out_word_bits}};
    constant WORDS: positive := {{words}};
    constant LIMIT: positive := {{limit}};

    signal finished: boolean := false;
    signal clock: std_logic := '0';
    signal reset: std_logic := '1';
    signal load_valid: std_logic := '0';
    signal load_select: unsigned({{load_select_bits}}-1 downto 0) := (others => '0');
    signal load_lane: unsigned({{load_lane_bits}}-1 downto 0) := (others => '0');
    signal load_address: unsigned({{load_address_bits}}-1 downto 0) := (others => '0');
    signal load_data: unsigned({{load_bits}}-1 downto 0) := (others => '0');
    signal start: std_logic := '0';
    signal busy: std_logic;
    signal out_ready: std_logic := '0';
    signal out_valid: std_logic;
    signal out_word: unsigned(WORD_BITS-1 downto 0);

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
    engine: entity work.{{module}} port map (
        clock => clock,
        reset => reset,
        load_valid => load_valid,
        load_select => load_select,
        load_lane => load_lane,
        load_address => load_address,
        load_data => load_data,
        start => start,
        busy => busy,
        out_ready => out_ready,
        out_valid => out_valid,
        out_word => out_word
    );

    tick: process
    begin
        while not finished loop
            wait for 5 ns;
            clock <= not clock;
        end loop;
        wait;
    end process;

    -- Drives while the clock is low, samples just before it rises.
    drive: process
        variable noise: unsigned(31 downto 0) := to_unsigned(STRESS, 32) xor x"9e3779b9";
        variable errors: natural := 0;
        file log: text open write_mode is "ghdl.out";

        procedure pause(variable result: out boolean) is
        begin
            noise := noise(30 downto 0) & (noise(31) xor noise(21) xor noise(1) xor noise(0));
            result := STRESS /= 0 and noise(0) = '1' and noise(3) = '1';
        end procedure;

        procedure load(name: string; memory: natural; lanes: positive; depth: positive) is
            file image: text open read_mode is name;
            variable row: line;
            variable word: std_logic_vector((({{load_bits}} + 3) / 4) * 4 - 1 downto 0);
            variable digits: positive;
            variable idle: boolean;
        begin
            for lane in 0 to lanes - 1 loop
                for address in 0 to depth - 1 loop
                    loop
                        pause(idle);
                        exit when not idle;
                        load_valid <= '0';
                        wait until falling_edge(clock);
                    end loop;
                    readline(image, row);
                    digits := row'length;
                    word := (others => '0');
                    hread(row, word(digits * 4 - 1 downto 0));
                    load_valid <= '1';
                    load_select <= to_unsigned(memory, load_select'length);
                    load_lane <= to_unsigned(lane, load_lane'length);
                    load_address <= to_unsigned(address, load_address'length);
                    load_data <= unsigned(word(load_data'range));
                    wait until falling_edge(clock);
                end loop;
            end loop;
            load_valid <= '0';
        end procedure;

        procedure complain(text: string) is
        begin
            if errors < 10 then
                report text severity note;
            end if;
            errors := errors + 1;
        end procedure;

        procedure check(cycle: natural; index: natural; wanted: string) is
            constant found: string := lower(to_hstring(to_unsigned(cycle, 32)) & "_" & to_hstring(out_word));
            constant offset: natural := wanted'low - found'low;
            variable row: line;
        begin
            write(row, found);
            writeline(log, row);
            if wanted'length /= found'length then
                complain("word " & integer'image(index) & ": " & found & ", expected " & wanted);
            else
                for i in found'range loop
                    if (STRESS = 0 or i - found'low > 8) and found(i) /= wanted(i + offset) then
                        complain("word " & integer'image(index) & ": " & found & ", expected " & wanted);
                        exit;
                    end if;
                end loop;
            end if;
        end procedure;

        procedure run_once is
            file expected: text open read_mode is "expected.hex";
            variable row: line;
            variable cycle: natural := 0;
            variable index: natural := 0;
            variable idle: boolean;
        begin
            start <= '1';
            wait until falling_edge(clock);
            start <= '0';
            while busy = '1' and cycle <= LIMIT loop
                cycle := cycle + 1;
                pause(idle);
                if idle then
                    out_ready <= '0';
                else
                    out_ready <= '1';
                    if out_valid = '1' then
                        if index < WORDS then
                            readline(expected, row);
                            check(cycle, index, row.all);
                        else
                            complain("word " & integer'image(index) & ": surplus");
                        end if;
                        index := index + 1;
                    end if;
                end if;
                wait until falling_edge(clock);
            end loop;
            if cycle > LIMIT then
                complain("still busy after " & integer'image(cycle) & " cycles");
            end if;
            if index /= WORDS then
                complain(integer'image(index) & " words, expected " & integer'image(WORDS));
            end if;
        end procedure;
    begin
        wait until falling_edge(clock);
        wait until falling_edge(clock);
        reset <= '0';
{{image_loads}}
        for run in 1 to RUNS loop
            run_once;
        end loop;
        if errors = 0 then
            report "PASS {{module}}: " & integer'image(WORDS) & " words, " & integer'image(RUNS) & " runs" severity note;
        else
            report "FAIL {{module}}: " & integer'image(errors) & " errors" severity note;
        end if;
        finished <= true;
        wait;
    end process;
end architecture simulation;
