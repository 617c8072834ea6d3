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
