package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"rollcall/infra/cli"
)

// printer prints the items of an answer, a line each, as -o says. What is added is kept until flush; a watch goes on after it.
type printer struct {
	w      io.Writer
	output cli.Output
	narrow int        // columns of the table
	table  *cli.Table // of the outputs with columns
	lines  strings.Builder
	err    error
}

// newPrinter returns a printer for tables with this header; those of -o wide have the columns of more besides.
func newPrinter(w io.Writer, output cli.Output, header []string, more ...string) *printer {
	p := &printer{w: w, output: output, narrow: len(header)}
	switch output {
	case cli.OutputWide:
		p.table = cli.NewTable(w, append(header, more...)...)
	case cli.OutputTable:
		p.table = cli.NewTable(w, header...)
	}
	return p
}

// add adds one item: as JSON, as its name, or as a row with the cells of both headers.
func (p *printer) add(value any, name string, row ...string) {
	switch p.output {
	case cli.OutputJSON:
		enc := json.NewEncoder(&p.lines)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(value); err != nil && p.err == nil {
			p.err = err
		}
	case cli.OutputName:
		fmt.Fprintln(&p.lines, name)
	case cli.OutputTable:
		p.table.Row(row[:p.narrow]...)
	default:
		p.table.Row(row...)
	}
}

// flush prints what was added.
func (p *printer) flush() error {
	if p.table != nil {
		return p.table.Flush()
	}
	text := p.lines.String()
	p.lines.Reset()
	if _, err := io.WriteString(p.w, text); err != nil {
		return err
	}
	return p.err
}
