package main

import (
	"errors"
	"flag"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// Of a read, and so of what one timer lets go at once: large, to take little of the machine from what is measured.
	relayPiece = 128 << 10
	// Pieces that one direction may have under way: more than any line that is measured holds.
	relayPieces = 8192
	// How far ahead of a line of limited rate its sender may be.
	relayQueue = 50 * time.Millisecond
)

var relayBuffers = sync.Pool{New: func() any { return new([relayPiece]byte) }}

// runRelay is a line of a given delay and rate: it carries TCP connections to one address.
func runRelay(arguments []string) error {
	flags := flag.NewFlagSet("relay", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	to := flags.String("to", "", "HOST:PORT that every connection is carried to")
	delay := flags.Duration("delay", 0, "how long bytes are under way in each direction")
	up := flags.Int64("up", 0, "bytes a second towards the target; 0 for no limit")
	down := flags.Int64("down", 0, "bytes a second back; 0 for no limit")
	flags.Parse(arguments)

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	announce(listener.Addr())
	// Connections share the line.
	upLine, downLine := &line{rate: *up, delay: *delay}, &line{rate: *down, delay: *delay}
	for {
		near, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			// A connection is there once its SYN has come and its answer has gone back.
			time.Sleep(2 * *delay)
			far, err := net.Dial("tcp", *to)
			if err != nil {
				near.Close()
				return
			}
			var both sync.WaitGroup
			both.Add(2)
			go upLine.carry(near.(*net.TCPConn), far.(*net.TCPConn), both.Done)
			go downLine.carry(far.(*net.TCPConn), near.(*net.TCPConn), both.Done)
			both.Wait()
			near.Close()
			far.Close()
		}()
	}
}

// line is one direction.
type line struct {
	rate  int64
	delay time.Duration
	mutex sync.Mutex
	// When the last byte so far has been put on a line of limited rate.
	free time.Time
}

type piece struct {
	buffer *[relayPiece]byte
	length int
	due    time.Time
}

// put waits until there is room on the line, and says when what is put there now arrives.
func (l *line) put(length int) time.Time {
	now := time.Now()
	if l.rate == 0 {
		return now.Add(l.delay)
	}
	l.mutex.Lock()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(length) * time.Second / time.Duration(l.rate))
	free := l.free
	l.mutex.Unlock()
	time.Sleep(free.Sub(now) - relayQueue)
	return free.Add(l.delay)
}

func (l *line) carry(from, to *net.TCPConn, done func()) {
	pieces := make(chan piece, relayPieces)
	go func() {
		defer done()
		deliver(pieces, to)
	}()
	// A slow line takes small pieces, so that what waits behind them waits no longer than it would.
	size := relayPiece
	if l.rate > 0 {
		size = int(min(relayPiece, max(l.rate/500, 1500)))
	}
	for {
		buffer := relayBuffers.Get().(*[relayPiece]byte)
		n, err := from.Read(buffer[:size])
		if n > 0 {
			pieces <- piece{buffer, n, l.put(n)}
		}
		if err != nil {
			length := 0
			if !errors.Is(err, io.EOF) {
				length = -1
			}
			pieces <- piece{nil, length, time.Now().Add(l.delay)}
			close(pieces)
			return
		}
	}
}

func deliver(pieces <-chan piece, to *net.TCPConn) {
	for next := range pieces {
		time.Sleep(time.Until(next.due))
		switch {
		case next.length > 0:
			// An error shows on the other direction too.
			to.Write(next.buffer[:next.length])
			relayBuffers.Put(next.buffer)
		case next.length == 0:
			to.CloseWrite()
		default:
			to.SetLinger(0)
			to.Close()
		}
	}
}
