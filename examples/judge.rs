//! Shows what headsnip makes of a response, with the core alone: no socket, no runtime. It reads the bytes of an origin from standard
//! input, writes what goes on to standard output, and says on standard error what does not, and why.
//!
//! ```text
//! curl -si --raw http://127.0.0.1:3000/ | cargo run --no-default-features --example judge
//! ```

use std::error::Error;
use std::io::{self, Read, Write};

use headsnip::http1::edits::Why;
use headsnip::http1::{Direction, Edits, Exchange, Fault, OriginEnd, Policy, Run, Verdict};

/// The request to which the response belongs: a response cannot be delimited without its method.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default();
    let mut exchange = Exchange::new(&policy);
    let mut request = REQUEST.as_bytes().to_vec();
    judge(&mut exchange, Direction::Inbound, &mut request)?;

    let mut response = Vec::new();
    let mut room = [0; 4096];
    let mut output = io::stdout();
    loop {
        let count = io::stdin().read(&mut room)?;
        if count == 0 {
            break;
        }
        response.extend_from_slice(&room[..count]);
        output.write_all(&judge(&mut exchange, Direction::Outbound, &mut response)?)?;
    }
    exchange.response_end(OriginEnd::Fin).map_err(refused)?;
    output.flush()?;
    Ok(())
}

/// Takes from `shown` what is decided, and gives what of it goes on. What is left is shown again, with more behind it.
fn judge(exchange: &mut Exchange<'_>, direction: Direction, shown: &mut Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut edits = Edits::default();
    let mut output = Vec::new();
    loop {
        let verdict = exchange.judge(direction, shown, &mut edits).map_err(refused)?;
        match verdict {
            Verdict::NeedMore | Verdict::Wait => return Ok(output),
            Verdict::Head(n) => {
                for part in edits.withheld() {
                    tell(&shown[part.range()], part.why());
                }
                edits.write(&shown[..n.get()], &mut output);
                shown.drain(..n.get());
            }
            Verdict::Keep(n) => output.extend(shown.drain(..n.get())),
            Verdict::Withhold(n) => drop(shown.drain(..n.get())),
            Verdict::Pass(run) => {
                let count = match run {
                    Run::Exactly(n) => shown.len().min(usize::try_from(n.get())?),
                    Run::UntilEof => shown.len(),
                };
                if count == 0 {
                    return Ok(output);
                }
                output.extend(shown.drain(..count));
                exchange.passed(direction, u64::try_from(count)?);
            }
        }
    }
}

/// Says what does not go on, and why.
fn tell(bytes: &[u8], why: Why) {
    let why = match why {
        Why::Denied(_) => "denied",
        Why::Mended(rule) => rule.name(),
        Why::Belied => "the connection closes",
        Why::Forwarded => "it goes on in the line that names the client",
        Why::NotForClient => "not for a client of HTTP/1.0",
    };
    eprintln!("withheld, {why}: {}", bytes.escape_ascii());
}

/// The rule that was broken, by its name in logs and metrics.
fn refused(fault: Fault) -> String {
    format!("refused: {}, {:?}", fault.violation.name(), fault.ending)
}
