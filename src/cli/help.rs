//! The help text: flags with the names of their values, within the width of a terminal.

use std::fmt::Write;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

/// Columns that a line may have.
const WIDTH: usize = 100;

/// Columns before what is said of a flag.
const COLUMN: usize = 34;

/// Of headsnip itself, or of a subcommand by its whole name.
pub(super) fn text(name: &str, info: &CommandInfoWithArgs) -> String {
    // Writing to a string does not fail.
    let mut text = format!("Usage: {name} [FLAG ...]");
    for positional in info.positionals {
        let _ = write!(text, " {}", positional.name);
    }
    text.push('\n');
    if !info.commands.is_empty() {
        let _ = writeln!(text, "       {name} COMMAND [...]");
    }
    text.push('\n');
    fold(&mut text, info.description, 0);
    let positionals = info.positionals.iter().map(|positional| (positional.name.to_owned(), positional.description));
    rows(&mut text, "Arguments", positionals);
    rows(
        &mut text,
        "Options",
        info.flags.iter().filter(|flag| !flag.hidden).map(|flag| (head(flag), flag.description)),
    );
    let commands = info.commands.iter();
    rows(&mut text, "Commands", commands.map(|command| (command.name.to_owned(), command.command.description)));
    if !info.examples.is_empty() {
        text.push_str("\nExamples:\n");
    }
    for example in info.examples {
        for line in example.replace("{command_name}", name).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    for note in info.notes {
        text.push('\n');
        fold(&mut text, note, 0);
    }
    rows(&mut text, "Exit codes", info.error_codes.iter().map(|code| (code.code.to_string(), code.description)));
    text
}

/// A flag, with the name of its value.
fn head(flag: &FlagInfo<'_>) -> String {
    match flag.kind {
        FlagInfoKind::Option { arg_name } => format!("{} {arg_name}", flag.long),
        FlagInfoKind::Switch => flag.long.to_owned(),
    }
}

fn rows<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = (String, &'a str)>) {
    for (place, (head, description)) in rows.enumerate() {
        if place == 0 {
            let _ = writeln!(text, "\n{title}:");
        }
        let _ = write!(text, "  {head:<width$}", width = COLUMN - 2);
        if head.len() > COLUMN - 4 {
            let _ = write!(text, "\n{:COLUMN$}", "");
        }
        fold(text, description, COLUMN);
    }
}

/// Words in lines, of which the first has begun at that column.
fn fold(text: &mut String, words: &str, indent: usize) {
    let mut column = indent;
    for (place, word) in words.split_whitespace().enumerate() {
        if place > 0 && column + 1 + word.len() > WIDTH {
            let _ = write!(text, "\n{:indent$}", "");
            column = indent;
        } else if place > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::flags::small;
    use super::*;

    #[test]
    fn all_that_there_is_stands_in_its_columns() {
        let long = [67, 32, 33].map(|count| "a".repeat(count));
        let expected = format!(
            "Usage: headsnip [FLAG ...]
       headsnip COMMAND [...]

Asks and tells.

Options:
  --help                          tell this
  --at ADDR                       where [it is]
  --format text|json              how
  --drop NAMES                    it's what to drop
  --it-is-of-thirty COLUMNS-TO-Z  {}
  --it-is-of-more COLUMNS-THAN-30 \n                                  {} {}
                                  c

Commands:
  ask                             Asks \"it\".

Examples:
  Once:
    headsnip --at 127.0.0.1:1

A note.

Exit codes:
  3                               all is lost
",
            long[0], long[1], long[2]
        );
        assert_eq!(text("headsnip", &small()), expected);
    }

    #[test]
    fn what_a_command_does_not_have_has_no_heading() {
        let expected = "Usage: headsnip ask [FLAG ...] URL high|low

Asks \"it\".

Arguments:
  URL                             whom
  high|low                        how

Options:
  --late TIME                     when

Exit codes:
  7                               no answer
";
        assert_eq!(text("headsnip ask", &small().commands[0].command), expected);
    }
}
