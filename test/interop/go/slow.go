package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// runSlow is a TCP echo that for a while lets nobody connect: its queue is full, and the kernel drops what
// would come behind.
func runSlow(arguments []string) error {
	flags := flag.NewFlagSet("slow", flag.ExitOnError)
	delay := flags.Duration("delay", 4*time.Second, "how long")
	flags.Parse(arguments)

	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	loopback := syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(socket, &loopback), syscall.Listen(socket, 0)); err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(uintptr(socket), "slow"))
	if err != nil {
		return err
	}
	if err := fillQueue(listener.Addr().String()); err != nil {
		return err
	}
	announce(listener.Addr())
	time.Sleep(*delay)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(conn, conn)
			conn.Close()
		}()
	}
}

func fillQueue(address string) error {
	for range 16 {
		if _, err := net.DialTimeout("tcp", address, 200*time.Millisecond); err != nil {
			return nil
		}
	}
	return fmt.Errorf("%s takes everybody", address)
}
