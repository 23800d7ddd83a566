//! What shells need to complete commands, flags and their values; made from the flags themselves.
//!
//! The name of a value says which values are possible. Its parts in lower case are literal words; `ADDR` and `URL` are a place, which may be
//! the path of a socket after `unix:`. Other values are up to the user.

use std::fmt::Write;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// How the path of a socket begins.
const SOCKET: &str = "unix:";

/// The script for a shell.
pub(super) fn script(shell: &str, info: &CommandInfoWithArgs) -> Option<String> {
    match shell {
        "bash" => Some(bash(info)),
        "zsh" => Some(zsh(info)),
        "fish" => Some(fish(info)),
        "nushell" => Some(nushell(info)),
        _ => None,
    }
}

/// The possible values of a flag.
struct Values<'a> {
    words: Vec<&'a str>,
    is_place: bool,
}

impl<'a> Values<'a> {
    fn named(name: &'a str) -> Self {
        let words = name.split('|').filter(|part| part.starts_with(|letter: char| letter.is_ascii_lowercase()));
        Self { words: words.collect(), is_place: name.split('|').any(|part| matches!(part, "ADDR" | "URL")) }
    }

    /// None: it is a switch.
    fn of_flag(flag: &FlagInfo<'a>) -> Option<Self> {
        match flag.kind {
            FlagInfoKind::Option { arg_name } => Some(Self::named(arg_name)),
            FlagInfoKind::Switch => None,
        }
    }

    fn words(&self) -> String {
        let socket = self.is_place.then_some(SOCKET);
        self.words.iter().copied().chain(socket).collect::<Vec<_>>().join(" ")
    }
}

/// Serving, whose name is empty, and all subcommands.
fn commands(info: &CommandInfoWithArgs) -> impl Iterator<Item = (&str, &CommandInfoWithArgs)> {
    [("", info)].into_iter().chain(info.commands.iter().map(|command| (command.name, &command.command)))
}

fn names(info: &CommandInfoWithArgs, between: &str) -> String {
    info.commands.iter().map(|command| command.name).collect::<Vec<_>>().join(between)
}

fn visible(command: &CommandInfoWithArgs) -> impl Iterator<Item = &FlagInfo<'static>> {
    command.flags.iter().filter(|flag| !flag.hidden)
}

// Writing to a string does not fail.

/// Bash takes a colon and an equals sign for ends of words, so the words are those of the line, and only what is after the last colon is given.
fn bash(info: &CommandInfoWithArgs) -> String {
    let mut cases = String::new();
    for (name, command) in commands(info) {
        for flag in visible(command) {
            if let Some(values) = Values::of_flag(flag) {
                let _ = writeln!(cases, "        '{name} {}') values=({}) ;;", flag.long, values.words());
            }
        }
    }
    for (name, command) in commands(info) {
        let mut words: Vec<String> = visible(command).map(|flag| flag.long.to_owned()).collect();
        words.extend(command.commands.iter().map(|command| command.name.to_owned()));
        words.extend(command.positionals.iter().map(|positional| Values::named(positional.name).words()));
        let _ = writeln!(cases, "        '{name} '*) values=({}) ;;", words.join(" "));
    }
    format!(
        r#"_headsnip() {{
    local line=${{COMP_LINE:0:COMP_POINT}} command='' current previous
    local -a words values
    read -r -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    ((${{#words[@]}} > 1)) || return
    current=${{words[-1]}} previous=${{words[-2]}}
    ((${{#words[@]}} > 2)) && case ${{words[1]}} in
        {}) command=${{words[1]}} ;;
    esac
    [[ $current == --*=* ]] && previous=${{current%%=*}} current=${{current#*=}}
    case "$command $previous" in
{cases}    esac
    if [[ $current == {SOCKET}* && " ${{values[*]}} " == *' {SOCKET} '* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${{current#{SOCKET}}}")
        COMPREPLY=("${{COMPREPLY[@]/#/{SOCKET}}}")
        compopt -o filenames 2>/dev/null
    else
        mapfile -t COMPREPLY < <(compgen -W "${{values[*]}}" -- "$current")
        [[ ${{COMPREPLY[*]}} == {SOCKET} ]] && compopt -o nospace 2>/dev/null
    fi
    if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then
        COMPREPLY=("${{COMPREPLY[@]#"${{current%"${{current##*:}}"}}"}}")
    fi
    return 0
}}
complete -F _headsnip headsnip
"#,
        names(info, "|")
    )
}

fn zsh(info: &CommandInfoWithArgs) -> String {
    let escaped = |text: &str| text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
    let action = |name: &str| {
        let values = Values::named(name);
        match (values.is_place, values.words.join(" ")) {
            (true, words) => format!(":{name}:{{_headsnip_place {words}}}"),
            (false, words) if words.is_empty() => format!(":{name}: "),
            (false, words) => format!(":{name}:({words})"),
        }
    };
    let arguments = |command: &CommandInfoWithArgs, indent: &str| {
        let mut lines = format!("{indent}_arguments -S");
        for flag in visible(command) {
            let repeated = if flag.optionality == Optionality::Repeating { "*" } else { "" };
            let (equals, value) = match flag.kind {
                FlagInfoKind::Option { arg_name } => ("=", action(arg_name)),
                FlagInfoKind::Switch => ("", String::new()),
            };
            let text = escaped(flag.description);
            let _ = write!(lines, " \\\n{indent}    '{repeated}{}{equals}[{text}]{value}'", flag.long);
        }
        for positional in command.positionals {
            let _ = write!(lines, " \\\n{indent}    '{}'", action(positional.name));
        }
        lines
    };
    let mut text = "#compdef headsnip\n\n_headsnip_place() {\n    if compset -P unix:; then _files; else compadd -S '' -- unix:; \
                    (( $# )) && compadd -- \"$@\"; fi\n}\n\n_headsnip() {\n    if (( CURRENT > 2 )); then\n        case $words[2] in\n"
        .to_owned();
    for (name, command) in commands(info).skip(1) {
        let _ = writeln!(text, "        {name})\n            shift words\n            (( CURRENT-- ))");
        let _ = writeln!(text, "{}\n            return ;;", arguments(command, "            "));
    }
    let _ = write!(text, "        esac\n    fi\n{} \\\n        ':command:((", arguments(info, "    "));
    for command in &info.commands {
        let description = command.command.description.replace('\'', "'\\''").replace('"', "\\\"");
        let _ = write!(text, "{}\\:\"{description}\" ", command.name);
    }
    text.push_str(
        "))'\n}\n\nif [[ $funcstack[1] == _headsnip ]]; then _headsnip \"$@\"; else compdef _headsnip headsnip; fi\n",
    );
    text
}

fn fish(info: &CommandInfoWithArgs) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let offered = |values: &Values<'_>| match (values.is_place, values.words.join(" ")) {
        (true, words) => format!(" -a '(__headsnip_place {words})'"),
        (false, words) if words.is_empty() => String::new(),
        (false, words) => format!(" -a '{words}'"),
    };
    let mut text = format!(
        "function __headsnip_place\n    set -l current (commandline -ct | string replace -r -- '^--[^=]*=' '')\n    \
         if string match -q '{SOCKET}*' -- $current\n        set -l path (string sub -s 6 -- $current)\n        \
         for found in $path*\n            echo {SOCKET}$found\n        end\n    else\n        printf '%s\\n' {SOCKET} $argv\n    \
         end\nend\n\nfunction __headsnip_is\n    set -l words (commandline -opc)\n    set -l first ''\n    \
         if set -q words[2]; and contains -- $words[2] {}\n        set first $words[2]\n    end\n    \
         test \"$first\" = \"$argv[1]\"\nend\n\ncomplete -c headsnip -f\n",
        names(info, " ")
    );
    for (name, command) in commands(info) {
        let head = format!("complete -c headsnip -n '__headsnip_is \"{name}\"'");
        for flag in visible(command) {
            let value = Values::of_flag(flag).map_or(String::new(), |values| format!(" -x{}", offered(&values)));
            let long = flag.long.trim_start_matches("--");
            let _ = writeln!(text, "{head} -l {long}{value} -d '{}'", escaped(flag.description));
        }
        for positional in command.positionals {
            let _ = writeln!(text, "{head}{}", offered(&Values::named(positional.name)));
        }
        for command in &command.commands {
            let _ = writeln!(text, "{head} -a {} -d '{}'", command.name, escaped(command.command.description));
        }
    }
    text
}

fn nushell(info: &CommandInfoWithArgs) -> String {
    let (mut completers, mut externs) = (String::new(), String::new());
    for (name, command) in commands(info) {
        let _ = writeln!(externs, "export extern \"{}\" [", format_args!("headsnip {name}").to_string().trim_end());
        for positional in command.positionals {
            let _ = writeln!(externs, "  value?: string # {}", positional.description);
        }
        for flag in visible(command) {
            let _ = write!(externs, "  {}", flag.long);
            if let Some(values) = Values::of_flag(flag) {
                externs.push_str(": string");
                if !values.words.is_empty() {
                    let completer = format!("headsnip {name} {}", flag.long);
                    let _ = write!(externs, "@\"{completer}\"");
                    let _ = writeln!(completers, "def \"{completer}\" [] {{ [{}] }}", values.words.join(" "));
                }
            }
            let _ = writeln!(externs, " # {}", flag.description);
        }
        externs.push_str("]\n");
    }
    format!("{completers}\n{externs}")
}

#[cfg(test)]
mod tests {
    use super::super::flags::small;
    use super::*;

    /// For the shells that not every machine has, on which tests are run; bash itself reads its own.
    #[test]
    fn switches_words_places_and_other_values_are_offered_as_what_they_are() {
        for (shell, lines) in [
            (
                "zsh",
                &[
                    r"    '--help[tell this]' \",
                    r"    '--at=[where \[it is\]]:ADDR:{_headsnip_place }' \",
                    r"    '--format=[how]:text|json:(text json)' \",
                    r"    '*--drop=[it'\''s what to drop]:NAMES: ' \",
                    r"    ':high|low:(high low)'",
                ][..],
            ),
            (
                "fish",
                &[
                    r#"complete -c headsnip -n '__headsnip_is ""' -l help -d 'tell this'"#,
                    r#"complete -c headsnip -n '__headsnip_is ""' -l at -x -a '(__headsnip_place )' -d 'where [it is]'"#,
                    r#"complete -c headsnip -n '__headsnip_is ""' -l format -x -a 'text json' -d 'how'"#,
                    r#"complete -c headsnip -n '__headsnip_is ""' -l drop -x -d 'it\'s what to drop'"#,
                    r#"complete -c headsnip -n '__headsnip_is "ask"' -a 'high low'"#,
                ],
            ),
            (
                "nushell",
                &[
                    r#"def "headsnip  --format" [] { [text json] }"#,
                    "  --help # tell this",
                    "  --at: string # where [it is]",
                    r#"  --format: string@"headsnip  --format" # how"#,
                    "  --drop: string # it's what to drop",
                ],
            ),
        ] {
            let script = script(shell, &small()).expect("a known shell");
            for line in lines {
                assert!(script.lines().any(|known| known.ends_with(line)), "{line} in\n{script}");
            }
            assert!(!script.contains("secret"), "{script}");
        }
    }
}
