//! What is said on standard error, beside what a program answers.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard error. `eprintln!` would panic where nobody reads it, and the exit code would be another
/// one than the documented; what cannot be said there is told by the exit code alone.
pub fn say(words: impl Display) {
    write_line(&mut io::stderr(), words);
}

fn write_line(out: &mut impl Write, words: impl Display) {
    // In one piece, so that the line of another process does not stand in the middle of it.
    let _ = out.write_all(format!("{words}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_and_one_that_nobody_reads_is_nothing_to_fail_of() {
        let mut out = Vec::new();
        write_line(&mut out, "words");
        assert_eq!(out, b"words\n");
        write_line(&mut Closed, "words");
    }
}
