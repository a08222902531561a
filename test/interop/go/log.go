package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sagernet/sing/common/logger"
)

// stderrLogger writes what the modules report as lines `level: text`.
type stderrLogger struct{}

var _ logger.ContextLogger = stderrLogger{}

// announce says what is bound, in the same words on both outputs.
func announce(address fmt.Stringer) {
	fmt.Println("listening on", address)
	fmt.Fprintln(os.Stderr, "listening on", address)
}

func (stderrLogger) print(level string, args []any) {
	text := strings.TrimSpace(fmt.Sprint(args...))
	fmt.Fprintf(os.Stderr, "%s: %s\n", level, strings.ReplaceAll(text, "\n", " "))
}

func (l stderrLogger) Trace(args ...any) { l.print("trace", args) }
func (l stderrLogger) Debug(args ...any) { l.print("debug", args) }
func (l stderrLogger) Info(args ...any)  { l.print("info", args) }
func (l stderrLogger) Warn(args ...any)  { l.print("warn", args) }
func (l stderrLogger) Error(args ...any) { l.print("error", args) }
func (l stderrLogger) Fatal(args ...any) { l.print("fatal", args) }
func (l stderrLogger) Panic(args ...any) { l.print("panic", args) }

func (l stderrLogger) TraceContext(_ context.Context, args ...any) { l.Trace(args...) }
func (l stderrLogger) DebugContext(_ context.Context, args ...any) { l.Debug(args...) }
func (l stderrLogger) InfoContext(_ context.Context, args ...any)  { l.Info(args...) }
func (l stderrLogger) WarnContext(_ context.Context, args ...any)  { l.Warn(args...) }
func (l stderrLogger) ErrorContext(_ context.Context, args ...any) { l.Error(args...) }
func (l stderrLogger) FatalContext(_ context.Context, args ...any) { l.Fatal(args...) }
func (l stderrLogger) PanicContext(_ context.Context, args ...any) { l.Panic(args...) }
