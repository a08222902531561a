package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

var connections atomic.Int64

// tracedConn prints the frames that pass, one JSON object a line behind `trace: `. Data and padding are
// left out: they are many and say nothing.
type tracedConn struct {
	net.Conn
	number        int64
	reads, writes frameReader
}

func newTracedConn(conn net.Conn, isClient bool) net.Conn {
	return &tracedConn{
		Conn:   conn,
		number: connections.Add(1),
		reads:  frameReader{skipAuthentication: !isClient},
		writes: frameReader{skipAuthentication: isClient},
	}
}

func (c *tracedConn) Read(bytes []byte) (int, error) {
	n, err := c.Conn.Read(bytes)
	c.print("in", c.reads.read(bytes[:n]))
	return n, err
}

func (c *tracedConn) Write(bytes []byte) (int, error) {
	// Before the bytes leave: what they cause must not be printed first.
	c.print("out", c.writes.read(bytes))
	return c.Conn.Write(bytes)
}

func (c *tracedConn) print(direction string, frames []frame) {
	for _, f := range frames {
		if f.command == commandData || f.command == commandWaste {
			continue
		}
		line, _ := json.Marshal(map[string]any{
			"connection": c.number,
			"direction":  direction,
			"command":    f.command,
			"stream":     f.stream,
			"data":       string(f.data),
		})
		fmt.Fprintf(os.Stderr, "trace: %s\n", line)
	}
}
