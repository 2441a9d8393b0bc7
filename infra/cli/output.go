package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// Output is how a command prints its answer.
type Output string

// The outputs.
const (
	OutputTable Output = "table" // columns for people
	OutputWide  Output = "wide"  // more columns
	OutputJSON  Output = "json"  // what the API answered, one JSON value a line
	OutputName  Output = "name"  // one id a line, for a loop in a shell
)

var outputs = []Output{OutputTable, OutputWide, OutputJSON, OutputName}

// OutputFlag adds -o, --output to fs; the value is there once the flags are parsed.
func OutputFlag(fs *pflag.FlagSet) *Output {
	out := OutputTable
	fs.VarP(&out, "output", "o", "how to print: table, wide, json or name")
	return &out
}

// Set implements pflag.Value.
func (o *Output) Set(text string) error {
	if !slices.Contains(outputs, Output(text)) {
		return fmt.Errorf("must be table, wide, json or name")
	}
	*o = Output(text)
	return nil
}

// String implements pflag.Value.
func (o *Output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *Output) Type() string { return "format" }

// columnGap is the number of blanks between two columns.
const columnGap = 3

// Table prints rows in columns. Rows are kept until Flush; after it the table may go on, in columns at least as wide as
// before, which is how a watch stays aligned.
type Table struct {
	w      io.Writer
	rows   [][]string
	widths []int
}

// NewTable returns a table whose first row is header.
func NewTable(w io.Writer, header ...string) *Table {
	t := &Table{w: w}
	t.Row(header...)
	return t
}

// Row adds a row. An empty cell is printed as -, so that the columns stay countable for awk. A line break in a cell,
// which could forge a row, and other control characters are printed as Go escapes.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		if cell == "" {
			cell = "-"
		}
		row[i] = visible(cell)
	}
	t.Reserve(row...)
	t.rows = append(t.rows, row)
}

// Reserve makes the columns at least as wide as these cells, for a watch that prints its header before its first row.
func (t *Table) Reserve(cells ...string) {
	for i, cell := range cells {
		if i == len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
}

// Flush prints the rows added since the last call.
func (t *Table) Flush() error {
	var text strings.Builder
	for _, row := range t.rows {
		for i, cell := range row {
			text.WriteString(cell)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+columnGap))
			}
		}
		text.WriteByte('\n')
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(t.w, text.String())
	return err
}

func visible(cell string) string {
	if !strings.ContainsFunc(cell, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return cell
	}
	quoted := fmt.Sprintf("%q", cell)
	return quoted[1 : len(quoted)-1]
}
