package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	anytls "github.com/anytls/sing-anytls"
	M "github.com/sagernet/sing/common/metadata"
)

// shapeRequest comes as JSON on standard input.
type shapeRequest struct {
	Scheme string `json:"scheme"`
	// Bytes of the name in the target, 1 to 63: the only part of Deliver 1 that can be chosen.
	TargetName int `json:"targetName"`
	// What follows the target: `write N` (N bytes on the stream), `heartbeat` (one to answer), `close`, `open`.
	Steps []string `json:"steps"`
	Runs  int      `json:"runs"`
}

// shapeResult goes as JSON to standard output. Deliver 0 is the authentication, 1 the settings with the first
// SYN and the target; each step is one further, `open` is two.
type shapeResult struct {
	// Bytes of each Deliver without any padding.
	Delivers []int `json:"delivers"`
	// For each run and each Deliver the bytes of every Write that the connection got.
	Runs [][][]int `json:"runs"`
}

// runShape records the Writes of the module's Client for a scheme that it was told by a server.
func runShape([]string) error {
	var request shapeRequest
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		return err
	}
	var conn *recordingConn
	client, err := anytls.NewClient(context.Background(), anytls.ClientConfig{
		Password: "password",
		Logger:   stderrLogger{},
		DialOut: func(context.Context) (net.Conn, error) {
			conn = newRecordingConn()
			return conn, nil
		},
	})
	if err != nil {
		return err
	}
	target := M.Socksaddr{Fqdn: strings.Repeat("a", request.TargetName), Port: 443}

	if _, err := client.CreateProxy(context.Background(), target); err != nil {
		return err
	}
	conn.receive(encodeFrame(frame{command: commandUpdateScheme, data: []byte(request.Scheme)}))
	conn.hangUp()

	var result shapeResult
	for range request.Runs {
		stream, err := client.CreateProxy(context.Background(), target)
		if err != nil {
			return err
		}
		run := conn
		for _, step := range request.Steps {
			run.endDeliver()
			var size int
			switch {
			case step == "open":
				if stream, err = client.CreateProxy(context.Background(), target); err != nil {
					return err
				}
				if conn != run {
					return errors.New("a second connection was made")
				}
			case step == "close":
				stream.Close()
			case step == "heartbeat":
				run.receive(encodeFrame(frame{command: commandHeartbeat}))
			case scan(step, &size):
				if _, err := stream.Write(make([]byte, size)); err != nil {
					return err
				}
			default:
				return fmt.Errorf("unknown step %q", step)
			}
		}
		run.endDeliver()
		run.hangUp()
		delivers, sizes, err := measure(run.delivers)
		if err != nil {
			return err
		}
		if result.Delivers == nil {
			result.Delivers = delivers
		} else if !slices.Equal(delivers, result.Delivers) {
			return fmt.Errorf("Delivers %v, before %v", delivers, result.Delivers)
		}
		result.Runs = append(result.Runs, sizes)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func scan(step string, size *int) bool {
	n, err := fmt.Sscanf(step, "write %d", size)
	return n == 1 && err == nil && *size >= 0 && *size <= maxFrameData
}

// measure tells the bytes of each Deliver without padding, and of each of its Writes.
func measure(delivers [][][]byte) (bare []int, sizes [][]int, err error) {
	for index, writes := range delivers {
		length := 0
		written := []int{}
		var frames frameReader
		for _, write := range writes {
			written = append(written, len(write))
			if index == 0 {
				length = authHead
				continue
			}
			for _, f := range frames.read(write) {
				if f.command != commandWaste {
					length += frameHead + len(f.data)
				}
			}
		}
		if len(frames.pending) > 0 {
			return nil, nil, fmt.Errorf("Deliver %d ends inside of a frame", index)
		}
		bare = append(bare, length)
		sizes = append(sizes, written)
	}
	return bare, sizes, nil
}

// recordingConn keeps each Write and gives the reader what is put into it.
type recordingConn struct {
	lock     sync.Mutex
	changed  *sync.Cond
	incoming []byte
	// Whether the reader has come back for more than there was.
	isStarved bool
	isHungUp  bool
	isClosed  bool
	// The Writes of each Deliver, and those of the one under way.
	delivers [][][]byte
	writes   [][]byte
}

func newRecordingConn() *recordingConn {
	conn := &recordingConn{}
	conn.changed = sync.NewCond(&conn.lock)
	return conn
}

// receive hands over bytes and waits until the session has done all that they ask for.
func (c *recordingConn) receive(bytes []byte) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.incoming = append(c.incoming, bytes...)
	c.isStarved = false
	c.changed.Broadcast()
	for !c.isStarved {
		c.changed.Wait()
	}
}

// hangUp ends what comes in and waits until the session is over, so that it is not used again.
func (c *recordingConn) hangUp() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.isHungUp = true
	c.changed.Broadcast()
	for !c.isClosed {
		c.changed.Wait()
	}
}

// endDeliver makes what was written since the last time a Deliver of its own, if anything was.
func (c *recordingConn) endDeliver() {
	c.lock.Lock()
	defer c.lock.Unlock()
	if len(c.writes) > 0 {
		c.delivers = append(c.delivers, c.writes)
		c.writes = nil
	}
}

func (c *recordingConn) Read(bytes []byte) (int, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for len(c.incoming) == 0 && !c.isHungUp && !c.isClosed {
		c.isStarved = true
		c.changed.Broadcast()
		c.changed.Wait()
	}
	if len(c.incoming) == 0 {
		return 0, io.EOF
	}
	n := copy(bytes, c.incoming)
	c.incoming = c.incoming[n:]
	return n, nil
}

func (c *recordingConn) Write(bytes []byte) (int, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.writes = append(c.writes, slices.Clone(bytes))
	return len(bytes), nil
}

func (c *recordingConn) Close() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.isClosed = true
	c.changed.Broadcast()
	return nil
}

// SetWriteDeadline is what the session calls before and after each control frame, so that it parts a SYN from
// the target behind it.
func (c *recordingConn) SetWriteDeadline(time.Time) error {
	c.endDeliver()
	return nil
}

func (c *recordingConn) LocalAddr() net.Addr             { return &net.TCPAddr{} }
func (c *recordingConn) RemoteAddr() net.Addr            { return &net.TCPAddr{} }
func (c *recordingConn) SetDeadline(time.Time) error     { return nil }
func (c *recordingConn) SetReadDeadline(time.Time) error { return nil }
