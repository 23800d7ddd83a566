//! The man page, from what the help text is made from.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};
use roff::{Roff, bold, italic, roman};

use super::variable;

/// The page in roff, for section 1.
pub(super) fn page(info: &CommandInfoWithArgs) -> String {
    let mut page = Roff::new();
    page.control("TH", ["HEADSNIP", "1", "", concat!("headsnip ", env!("CARGO_PKG_VERSION"))]);
    page.control("SH", ["NAME"]);
    page.text([roman("headsnip - removes Server and other field lines from every HTTP/1.1 response head")]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([
        bold("headsnip"),
        roman(" [--listen "),
        italic("ADDR"),
        roman("] [--upstream "),
        italic("ADDR"),
        roman("] [...]"),
    ]);
    for command in &info.commands {
        page.control("br", []);
        page.text([bold(format!("headsnip {}", command.name)), roman(" [...]")]);
    }
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(info.description)]);
    for note in info.notes {
        page.control("PP", []);
        page.text([roman(note.replace('\n', " "))]);
    }
    page.control("SH", ["OPTIONS"]);
    flags(&mut page, info.flags, |name| (!matches!(name, "help" | "version")).then(|| variable(name)));
    page.control("SH", ["SUBCOMMANDS"]);
    for command in &info.commands {
        page.control("SS", [format!("headsnip {}", command.name).as_str()]);
        page.text([roman(command.command.description)]);
        for positional in command.command.positionals {
            page.control("TP", []);
            page.text([italic(positional.name)]);
            page.text([roman(positional.description)]);
        }
        flags(&mut page, command.command.flags, |_| None);
    }
    page.control("SH", ["EXIT STATUS"]);
    for code in info.error_codes {
        page.control("TP", []);
        page.text([bold(code.code.to_string())]);
        page.text([roman(code.description)]);
    }
    page.control("SH", ["EXAMPLES"]);
    for example in info.examples {
        page.control("PP", []);
        page.control("nf", []);
        page.text([roman(example.replace("{command_name}", info.name))]);
        page.control("fi", []);
    }
    page.render()
}

fn flags(page: &mut Roff, flags: &[FlagInfo<'_>], variable: impl Fn(&str) -> Option<String>) {
    for flag in flags.iter().filter(|flag| !flag.hidden) {
        page.control("TP", []);
        let mut head = vec![bold(flag.long)];
        if let FlagInfoKind::Option { arg_name } = &flag.kind {
            head.extend([roman(" "), italic(*arg_name)]);
        }
        page.text(head);
        let repeated = if flag.optionality == Optionality::Repeating { "; may be repeated" } else { "" };
        let variable = variable(flag.long.trim_start_matches("--")).map_or(String::new(), |name| format!(" [{name}]"));
        page.text([roman(format!("{}{repeated}{variable}", flag.description))]);
    }
}
