//! The same answer for people and for programs: words and tables, or with `--json` one JSON document to a line.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Ended;

/// Where answers go.
pub(crate) struct Printer<'a> {
    out: io::BufWriter<Box<dyn Write + 'a>>,
    json: bool,
}

impl<'a> Printer<'a> {
    /// To `out`, as JSON or not.
    pub(crate) fn new(out: impl Write + 'a, json: bool) -> Printer<'a> {
        Printer { out: io::BufWriter::new(Box::new(out)), json }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One answer: `value` for programs, `text` for people, without its last end of line.
    pub(crate) fn answer(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Ended> {
        let line = match self.json {
            true => serde_json::to_string(value)
                .map_err(|error| Ended::Io("writing JSON".to_owned(), error.into()))?,
            false => text(),
        };
        told(writeln!(self.out, "{line}"))
    }

    /// What was answered so far is to be seen now.
    pub(crate) fn finish(&mut self) -> Result<(), Ended> {
        told(self.out.flush())
    }
}

fn told(written: io::Result<()>) -> Result<(), Ended> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ended::NobodyReads,
        _ => Ended::Io("writing to standard output".to_owned(), error),
    })
}

/// A moment in milliseconds since the Unix epoch, as people write it: to the second, in UTC.
pub(crate) fn utc(ms: u64) -> String {
    let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years begin in March here, so that a leap day is the last of one; 400 of them have as many days as any other 400.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

/// Columns as wide as their widest cell: numbers to the right, everything else to the left.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With this head.
    pub(crate) fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row of as many cells as the head has.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a row of another table: {cells:?}");
        self.rows.push(cells);
    }

    /// Its lines, without the last end of line.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let is_number = |column: usize| {
            let digits = |cell: &String| {
                cell.is_empty() || cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit())
            };
            self.rows.len() > 1 && self.rows[1..].iter().all(|row| digits(&row[column]))
        };
        let right: Vec<bool> = (0..columns).map(is_number).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(at, cell)| match right[at] {
                true => format!("{cell:>width$}", width = widths[at]),
                false => format!("{cell:<width$}", width = widths[at]),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_date_and_a_time() {
        for (ms, told) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_786_486_506, "2026-11-27T13:34:46Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(ms), told);
        }
    }

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let mut table = Table::new(&["name", "slots"]);
        table.row(vec!["a".to_owned(), "5".to_owned()]);
        table.row(vec!["longer".to_owned(), "12345".to_owned()]);
        assert_eq!(table.text(), "name    slots\na           5\nlonger  12345");
    }

    #[test]
    fn programs_get_a_document_to_a_line_and_people_the_words() {
        let mut out = Vec::new();
        Printer::new(&mut out, true).answer(&[1, 2], || "words".to_owned()).expect("a line");
        Printer::new(&mut out, false).answer(&[1, 2], || "words".to_owned()).expect("a line");
        assert_eq!(String::from_utf8(out).expect("text"), "[1,2]\nwords\n");
    }
}
