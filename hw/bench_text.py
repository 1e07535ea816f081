"""What the benches repeat for every source of a stage, by language and name in the template (SPEC HW-7)."""

from __future__ import annotations

SOURCE_TEXT = {
    "verilog": {
        "source_declarations": """
    reg [{bits}-1:0] {name} [0:{last}];
    reg {name}_valid = 0;
    wire {name}_ready;
    reg [{bits}-1:0] {name}_word = 0;
    integer {name}_index = 0;
    integer {name}_round = 1;
""",
        "source_ports": """
        .{name}_valid({name}_valid),
        .{name}_ready({name}_ready),
        .{name}_word({name}_word),""",
        "source_reads": """
        if ({words} != 0) $readmemh("{name}.hex", {name});""",
        "source_passes": " || ({name}_valid && {name}_ready)",
        "source_restarts": """
                {name}_valid <= 0;
                {name}_index <= 0;
                {name}_round <= 1;""",
        "source_offers": """
                if (!{name}_valid || {name}_ready) begin
                    {name}_valid <= 0;
                    if (!pause_{place} && {name}_index < {words}) begin
                        {name}_valid <= 1;
                        {name}_word <= {name}[{name}_index];
                        {name}_index <= {name}_index + 1;
                        if ({name}_index == {last} && {name}_round < rounds) begin
                            {name}_index <= 0;
                            {name}_round <= {name}_round + 1;
                        end
                    end
                end""",
        "source_done": " && {name}_index == {words} && !({name}_valid && !{name}_ready)",
    },
    "vhdl": {
        "source_declarations": """
    signal {name}_valid: std_logic := '0';
    signal {name}_ready: std_logic;
    signal {name}_word: unsigned({bits}-1 downto 0) := (others => '0');""",
        "source_ports": """
        {name}_valid => {name}_valid,
        {name}_ready => {name}_ready,
        {name}_word => {name}_word,""",
        "source_variables": """
        file {name}_file: text;
        variable {name}_index: natural := 0;
        variable {name}_round: natural := 1;
        variable {name}_bits: std_logic_vector((({bits} + 3) / 4) * 4 - 1 downto 0);""",
        "source_passes": " or ({name}_valid = '1' and {name}_ready = '1')",
        "source_opens": """
                file_open({name}_file, "{name}.hex", read_mode);""",
        "source_restarts": """
                    {name}_valid <= '0';
                    {name}_index := 0;
                    {name}_round := 1;
                    file_close({name}_file);
                    file_open({name}_file, "{name}.hex", read_mode);""",
        "source_done": " and {name}_index = {words} and not ({name}_valid = '1' and {name}_ready = '0')",
        "source_offers": """
                    if {name}_valid = '0' or {name}_ready = '1' then
                        {name}_valid <= '0';
                        if not pause({place}) and {name}_index < {words} then
                            readline({name}_file, row);
                            hread(row, {name}_bits);
                            {name}_valid <= '1';
                            {name}_word <= unsigned({name}_bits({name}_word'range));
                            {name}_index := {name}_index + 1;
                            if {name}_index = {words} and {name}_round < rounds then
                                {name}_index := 0;
                                {name}_round := {name}_round + 1;
                                file_close({name}_file);
                                file_open({name}_file, "{name}.hex", read_mode);
                            end if;
                        end if;
                    end if;""",
    },
}
