//! Tables that fit the terminal. Nothing in them is cut: what has no room in a row goes on in the next line.

use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

use super::terminal::{self, visible};

/// Between two columns.
const GAP: usize = 2;
/// The least that the last column is narrowed to.
const NARROW: usize = 24;

/// Columns, each as wide as its widest cell. On a terminal that is too narrow for them, the last column is wrapped; where
/// that does not do, each row becomes a block of lines.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    fitted(header, rows, terminal::width())
}

fn fitted(header: &[&str], rows: &[Vec<String>], terminal: Option<usize>) -> String {
    let cell = |text: &String| visible(&text.replace(['\n', '\t'], " "));
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| display_width(cell));
        cells.chain(header.get(column).map(|name| display_width(name))).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..header.len()).map(widest).collect();
    let Some(last) = widths.pop() else { return String::new() };
    let others: usize = widths.iter().map(|width| width + GAP).sum();
    let room = terminal.map_or(last, |terminal| terminal.saturating_sub(others).min(last));
    if room < last && room < NARROW {
        return blocks(header, &rows, terminal.unwrap_or(usize::MAX));
    }
    let names = header.iter().map(|name| (*name).to_owned()).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width.saturating_sub(display_width(cell)) + GAP));
        }
        let last = row.get(widths.len()).map(String::as_str).unwrap_or_default();
        let indent = " ".repeat(others);
        let pieces = textwrap::wrap(last, whole_words(room.max(1)));
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                text.push('\n');
                text.push_str(&indent);
            }
            text.push_str(piece);
        }
        text.trim_end().to_owned()
    };
    std::iter::once(&names).chain(&rows).map(line).collect::<Vec<_>>().join("\n")
}

/// A line a cell, an empty line between two rows.
fn blocks(header: &[&str], rows: &[Vec<String>], terminal: usize) -> String {
    let width = header.iter().map(|name| display_width(name)).max().unwrap_or(0);
    let block = |row: &Vec<String>| {
        let cells = header.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        let lines = cells.map(|(name, cell)| {
            let (first, other) = (format!("{name:width$}  "), " ".repeat(width + GAP));
            let options = whole_words(terminal).initial_indent(&first).subsequent_indent(&other);
            textwrap::wrap(cell, options).join("\n")
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

/// Words with hyphens are names of options and packages, to be copied as they are.
fn whole_words<'a>(width: usize) -> Options<'a> {
    Options::new(width).word_splitter(WordSplitter::NoHyphenation)
}

/// A text in lines that fit the terminal, all but the first indented.
pub(crate) fn hanging(text: &str, indent: usize) -> String {
    match terminal::width() {
        Some(width) => textwrap::wrap(text, whole_words(width).subsequent_indent(&" ".repeat(indent))).join("\n"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![row(["1", "hello", "it ended by itself 8 times, the last time with code 137"]), row(["22", "x", "-"])]
    }

    #[test]
    fn columns_line_up() {
        let table = fitted(&["ID", "NAME"], &[vec!["1".to_owned(), "hello".to_owned()]], None);
        assert_eq!(table, "ID  NAME\n1   hello");
        assert_eq!(fitted(&["ID"], &[], None), "ID");
        let wide = [vec!["日本".to_owned(), "x".to_owned()], vec!["a".to_owned(), "y".to_owned()]];
        assert_eq!(fitted(&["N", "V"], &wide, None), "N     V\n日本  x\na     y");
    }

    #[test]
    fn a_row_that_is_too_wide_goes_on_under_its_last_column() {
        let expected = "ID  NAME   REASON\n\
                        1   hello  it ended by itself 8 times, the\n\
                        \x20          last time with code 137\n\
                        22  x      -";
        assert_eq!(fitted(&["ID", "NAME", "REASON"], &rows(), Some(42)), expected);
    }

    #[test]
    fn a_terminal_that_is_too_narrow_for_columns_gets_a_line_a_cell() {
        let expected = "ID      1\n\
                        NAME    hello\n\
                        REASON  it ended by itself\n\
                        \x20       8 times, the last\n\
                        \x20       time with code 137\n\
                        \n\
                        ID      22\nNAME    x\nREASON  -";
        assert_eq!(fitted(&["ID", "NAME", "REASON"], &rows(), Some(27)), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_letter_is_lost() {
        let name = "x".repeat(100);
        let rows = [vec!["1".to_owned(), name.clone(), "a\nb\tc\u{1b}".to_owned()]];
        for width in [20, 40, 80, 200] {
            let shown = fitted(&["ID", "NAME", "REASON"], &rows, Some(width));
            assert!(shown.lines().all(|line| display_width(line) <= width), "{shown}");
            assert_eq!(shown.matches('x').count(), name.len(), "{shown}");
            assert!(shown.contains("a b c^["), "{shown}");
        }
    }
}
