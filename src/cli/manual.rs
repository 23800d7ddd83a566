//! The man page, from the same source as the help text.

use argh::{CommandInfoWithArgs, ErrorCodeInfo, FlagInfo, FlagInfoKind, Optionality};
use roff::{Inline, Roff, bold, italic, roman};

use super::variable;

/// Signals, which the flags do not mention.
const SIGNALS: [(&str, &str); 5] = [
    (
        "SIGTERM",
        "Drains. /readyz turns 503, and new clients are accepted for --drain-delay. Then the listener closes, every final head says \
         Connection: close, and at --drain-timeout the rest is cut.",
    ),
    ("SIGINT", "Drains without the delay; idle clients are closed at once."),
    ("A second SIGTERM or SIGINT", "One second or more after the first: ends at once and cuts what is open."),
    ("SIGHUP", "Ignored, and logged: nothing is reloaded."),
    ("SIGUSR1, SIGUSR2", "Ignored."),
];

/// What is read and written, beside the sockets of the flags.
const FILES: [(&str, &str); 5] = [
    ("unix:PATH", "The file of a Unix-domain socket. A stale one is replaced, and the file is removed at the end."),
    ("/etc/hosts, /etc/resolv.conf", "Where the name in --upstream is resolved."),
    ("/proc/self/cgroup, /sys/fs/cgroup", "The memory limit from which the default of --max-memory is taken."),
    ("/proc/self, /proc/stat", "Process metrics for /metrics."),
    ("/etc/default/headsnip", "Variables of the systemd unit of the Debian package."),
];

/// Variables without a flag.
const VARIABLES: [(&str, &str); 1] =
    [("JOURNAL_STREAM", "Set by systemd. Log lines have no time of their own if standard error goes to the journal.")];

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
        let mut synopsis = vec![bold(format!("headsnip {}", command.name)), roman(" [...]")];
        for positional in command.command.positionals {
            synopsis.extend([roman(" "), italic(positional.name)]);
        }
        page.text(synopsis);
    }
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(info.description)]);
    for note in info.notes {
        page.control("PP", []);
        page.text([roman(note.replace('\n', " "))]);
    }
    page.control("SH", ["OPTIONS"]);
    flags(&mut page, info.flags);
    page.control("SH", ["SUBCOMMANDS"]);
    for command in &info.commands {
        page.control("SS", [format!("headsnip {}", command.name).as_str()]);
        page.text([roman(command.command.description)]);
        for positional in command.command.positionals {
            row(&mut page, italic(positional.name), positional.description);
        }
        flags(&mut page, command.command.flags);
        codes(&mut page, command.command.error_codes, |code| format!("Exit status {code}"));
    }
    page.control("SH", ["EXIT STATUS"]);
    codes(&mut page, info.error_codes, |code| code.to_string());
    page.control("SH", ["ENVIRONMENT"]);
    for flag in info.flags.iter().filter(|flag| !flag.hidden && !matches!(flag.long, "--help" | "--version")) {
        row(
            &mut page,
            bold(variable(flag.long.trim_start_matches("--"))),
            &format!("Same as {}; the flag wins.", flag.long),
        );
    }
    for (name, text) in &VARIABLES {
        row(&mut page, bold(*name), text);
    }
    page.control("SH", ["FILES"]);
    for (name, text) in &FILES {
        row(&mut page, italic(*name), text);
    }
    page.control("SH", ["SIGNALS"]);
    for (name, text) in &SIGNALS {
        row(&mut page, bold(*name), text);
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

fn flags(page: &mut Roff, flags: &[FlagInfo<'_>]) {
    for flag in flags.iter().filter(|flag| !flag.hidden) {
        page.control("TP", []);
        let mut head = vec![bold(flag.long)];
        if let FlagInfoKind::Option { arg_name } = &flag.kind {
            head.extend([roman(" "), italic(*arg_name)]);
        }
        page.text(head);
        let repeated = if flag.optionality == Optionality::Repeating { "; may be repeated" } else { "" };
        page.text([roman(format!("{}{repeated}", flag.description))]);
    }
}

fn codes(page: &mut Roff, codes: &[ErrorCodeInfo<'_>], head: impl Fn(i32) -> String) {
    for code in codes {
        row(page, bold(head(code.code)), code.description);
    }
}

fn row(page: &mut Roff, head: Inline, text: &str) {
    page.control("TP", []);
    page.text([head]);
    page.text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::super::flags::small;
    use super::*;

    #[test]
    fn flags_values_variables_and_codes_are_told_once() {
        let page = page(&small());
        for (text, count) in [
            ("\\fB\\-\\-at\\fR \\fIADDR\\fR\nwhere [it is]\n", 1),
            ("what to drop; may be repeated\n", 1),
            ("may be repeated", 1),
            ("\\fBExit status 7\\fR\nno answer\n", 1),
            ("\\fB3\\fR\nall is lost\n", 1),
            ("\\fBHEADSNIP_AT\\fR\n", 1),
            // Neither has a variable.
            ("HEADSNIP_HELP", 0),
            ("SECRET", 0),
            ("secret", 0),
        ] {
            assert_eq!(page.matches(text).count(), count, "{text:?} in\n{page}");
        }
    }
}
