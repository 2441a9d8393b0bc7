package main

import (
	"testing"

	"rollcall/infra/cli/clitest"
)

func TestDocumentedCommands(t *testing.T) { clitest.Documented(t, newRoot(), "../..") }
