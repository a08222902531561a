// Command interop is a client and a server of the original AnyTLS wire, made of the Go modules that other
// people's programs are built on. Tests run it against ours; see the files beside it for its modes.
package main

import (
	"fmt"
	"os"
)

var modes = map[string]func(arguments []string) error{
	"server": runServer,
	"client": runClient,
	"shape":  runShape,
	"origin": runOrigin,
	"load":   runLoad,
	"relay":  runRelay,
	"slow":   runSlow,
}

func main() {
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: interop server|client|shape|origin|load|relay|slow [flags]; -h after a mode lists its flags")
		os.Exit(2)
	}
	if err := modes[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
