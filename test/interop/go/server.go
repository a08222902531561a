package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"net"
	"os"
	"time"

	anytls "github.com/anytls/sing-anytls"
	"github.com/anytls/sing-anytls/padding"
	"github.com/sagernet/sing/common/bufio"
	M "github.com/sagernet/sing/common/metadata"
	N "github.com/sagernet/sing/common/network"
	"github.com/sagernet/sing/common/uot"
)

const dialTimeout = 5 * time.Second

// runServer accepts TLS connections for the module's Service and dials out for the streams.
func runServer(arguments []string) error {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	cert := flags.String("cert", "", "certificate chain, PEM file")
	key := flags.String("key", "", "private key, PEM file")
	password := flags.String("password", "", "password")
	schemeFile := flags.String("scheme", "", "file with a padding scheme, instead of the module's own")
	trace := flags.Bool("trace", false, "print the frames that pass")
	flags.Parse(arguments)

	scheme := padding.DefaultPaddingScheme
	if *schemeFile != "" {
		text, err := os.ReadFile(*schemeFile)
		if err != nil {
			return err
		}
		scheme = text
	}
	service, err := anytls.NewService(anytls.ServiceConfig{
		PaddingScheme: scheme,
		Users:         []anytls.User{{Name: "user", Password: *password}},
		Handler:       outbound{},
		Logger:        stderrLogger{},
	})
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	announce(listener.Addr())
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go serve(service, tls.Server(conn, config), *trace)
	}
}

func serve(service *anytls.Service, conn *tls.Conn, trace bool) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	err := conn.HandshakeContext(ctx)
	cancel()
	if err != nil {
		stderrLogger{}.Warn("TLS handshake: ", err)
		return
	}
	var plain net.Conn = conn
	if trace {
		plain = newTracedConn(conn, false)
	}
	source := M.SocksaddrFromNet(conn.RemoteAddr())
	if err := service.NewConnection(context.Background(), plain, source, nil); err != nil {
		stderrLogger{}.Warn("rejected: ", err)
		return
	}
	stderrLogger{}.Info("a client has gone")
}

// outbound serves one stream each time, with UDP over TCP by the module's names for it.
type outbound struct{}

func (outbound) NewConnectionEx(ctx context.Context, conn net.Conn, _, destination M.Socksaddr, _ N.CloseHandlerFunc) {
	defer conn.Close()
	var err error
	switch destination.Fqdn {
	case uot.MagicAddress:
		// The request first, the report second: a client that waits for the report would wait for ever.
		var request *uot.Request
		if request, err = uot.ReadRequest(conn); err == nil {
			err = serveUDP(ctx, conn, *request)
		}
	case uot.LegacyMagicAddress:
		err = serveUDP(ctx, conn, uot.Request{})
	default:
		err = serveTCP(ctx, conn, destination)
	}
	if err != nil {
		stderrLogger{}.Debug("stream to ", destination, ": ", err)
	}
}

func serveTCP(ctx context.Context, conn net.Conn, destination M.Socksaddr) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	target, err := dialer.DialContext(ctx, "tcp", destination.String())
	if err != nil {
		return errors.Join(err, N.ReportHandshakeFailure(conn, err))
	}
	if err := N.ReportConnHandshakeSuccess(conn, target); err != nil {
		target.Close()
		return err
	}
	return bufio.CopyConn(ctx, conn, target)
}
