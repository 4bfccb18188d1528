//! Rows in columns.

use super::stream::{STRONG, Stream};

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A heading, and where the cells beneath it stand.
pub(super) type Column = (&'static str, Align);

/// The rows under their headings, columns as wide as their widest cell; each line with its newline.
pub(super) fn table<const N: usize>(columns: [Column; N], rows: &[[String; N]], stream: Stream) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([columns[column].0.len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; N]| {
        let padded: [String; N] = std::array::from_fn(|column| match columns[column].1 {
            Align::Left => format!("{:<width$}", cells[column], width = widths[column]),
            Align::Right => format!("{:>width$}", cells[column], width = widths[column]),
        });
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = stream.paint(STRONG, &line(columns.map(|(heading, _)| heading))) + "\n";
    for row in rows {
        text += &line(row.each_ref().map(String::as_str));
        text.push('\n');
    }
    text
}

/// The rows without headings, cells separated by tabs: for programs.
pub(super) fn tabbed<const N: usize>(rows: &[[String; N]]) -> String {
    rows.iter().map(|row| row.join("\t") + "\n").collect()
}

/// Names and what they stand for, one a line, the values beneath each other.
pub(super) fn pairs(pairs: &[(&str, String)], stream: Stream) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| stream.paint(STRONG, name) + &" ".repeat(width - name.len() + 1) + value + "\n";
    pairs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long name".to_owned(), "1000".to_owned()]];
        let shown = table([("NAME", Align::Left), ("SIZE", Align::Right)], &rows, Stream::PLAIN);
        assert_eq!(shown, "NAME       SIZE\na             1\nlong name  1000\n");
        assert_eq!(tabbed(&rows), "a\t1\nlong name\t1000\n");
    }

    #[test]
    fn values_stand_beneath_each_other() {
        assert_eq!(pairs(&[("id", "1".to_owned()), ("built", "2".to_owned())], Stream::PLAIN), "id    1\nbuilt 2\n");
    }
}
