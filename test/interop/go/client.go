package main

import (
	std_bufio "bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	anytls "github.com/anytls/sing-anytls"
	"github.com/sagernet/sing/common/bufio"
	M "github.com/sagernet/sing/common/metadata"
	N "github.com/sagernet/sing/common/network"
	"github.com/sagernet/sing/protocol/http"
	"github.com/sagernet/sing/protocol/socks"
)

// runClient is a local SOCKS5 and HTTP proxy whose tunnels go through the module's Client.
func runClient(arguments []string) error {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	server := flags.String("server", "", "HOST:PORT of the server")
	ca := flags.String("ca", "", "certificate to trust, PEM file")
	password := flags.String("password", "", "password")
	minIdle := flags.Int("min-idle", 0, "idle sessions to keep")
	udp := flags.String("udp", udpVersion2, "how packets are carried: v1, v2 or v2-connect")
	old := flags.Bool("tls12", false, "offer TLS 1.2 alone")
	trace := flags.Bool("trace", false, "print the frames that pass")
	flags.Parse(arguments)

	roots, err := readRoots(*ca)
	if err != nil {
		return err
	}
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if *old {
		config.MaxVersion = tls.VersionTLS12
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: config}
	client, err := anytls.NewClient(context.Background(), anytls.ClientConfig{
		Password:                 *password,
		IdleSessionCheckInterval: 30 * time.Second,
		IdleSessionTimeout:       30 * time.Second,
		MinIdleSession:           *minIdle,
		Logger:                   stderrLogger{},
		DialOut: func(ctx context.Context) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", *server)
			if err != nil {
				return nil, err
			}
			stderrLogger{}.Info("connected to the server")
			if *trace {
				conn = newTracedConn(conn, true)
			}
			return conn, nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	announce(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		inbound := &inbound{client: client, conn: conn, udp: udpClient{client.CreateProxy, *udp}}
		go inbound.serve()
	}
}

func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return roots, nil
}

// inbound serves one connection of a local program.
type inbound struct {
	client *anytls.Client
	conn   net.Conn
	udp    udpClient
}

func (i *inbound) serve() {
	defer i.conn.Close()
	ctx, source := context.Background(), M.SocksaddrFromNet(i.conn.RemoteAddr())
	reader := std_bufio.NewReader(i.conn)
	first, err := reader.Peek(1)
	if err != nil {
		return
	}
	if first[0] == 5 {
		err = socks.HandleConnectionEx(ctx, i.conn, reader, nil, i, source, nil)
	} else {
		err = http.HandleConnectionEx(ctx, i.conn, reader, nil, i, source, nil)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		stderrLogger{}.Debug("inbound: ", err)
	}
}

func (i *inbound) NewConnectionEx(ctx context.Context, conn net.Conn, _, destination M.Socksaddr, _ N.CloseHandlerFunc) {
	defer conn.Close()
	stream, err := i.client.CreateProxy(ctx, destination)
	if err != nil {
		stderrLogger{}.Warn("no stream: ", errors.Join(err, N.ReportHandshakeFailure(conn, err)))
		return
	}
	if err := N.ReportConnHandshakeSuccess(conn, stream); err != nil {
		stream.Close()
		return
	}
	if err := bufio.CopyConn(ctx, conn, stream); err != nil {
		stderrLogger{}.Debug("tunnel to ", destination, ": ", err)
	}
}

func (i *inbound) NewPacketConnectionEx(ctx context.Context, packets N.PacketConn, _, _ M.Socksaddr, _ N.CloseHandlerFunc) {
	if err := N.ReportHandshakeSuccess(packets); err != nil {
		return
	}
	// The association lives as long as the connection that asked for it.
	go func() {
		io.Copy(io.Discard, i.conn)
		packets.Close()
	}()
	if err := i.udp.carry(ctx, packets); err != nil {
		stderrLogger{}.Debug("association: ", err)
	}
}
