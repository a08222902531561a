package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/sagernet/sing/common/buf"
	"github.com/sagernet/sing/common/bufio"
	M "github.com/sagernet/sing/common/metadata"
	N "github.com/sagernet/sing/common/network"
	"github.com/sagernet/sing/common/uot"
)

// serveUDP sends the packets of a stream from a socket of its own, and those that come to it back.
func serveUDP(ctx context.Context, conn net.Conn, request uot.Request) error {
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return errors.Join(err, N.ReportHandshakeFailure(conn, err))
	}
	if err := N.ReportHandshakeSuccess(conn); err != nil {
		socket.Close()
		return err
	}
	return bufio.CopyPacketConn(ctx, uot.NewConn(conn, request), &resolvingSocket{bufio.NewPacketConn(socket)})
}

// resolvingSocket looks up the names that packets are for.
type resolvingSocket struct {
	N.NetPacketConn
}

func (s *resolvingSocket) WritePacket(buffer *buf.Buffer, destination M.Socksaddr) error {
	if destination.IsFqdn() {
		address, err := net.ResolveUDPAddr("udp", destination.String())
		if err != nil {
			// As a packet that is lost.
			buffer.Release()
			return nil
		}
		destination = M.SocksaddrFromNet(address)
	}
	return s.NetPacketConn.WritePacket(buffer, destination)
}

// How a client carries the packets of an association.
const (
	udpVersion1        = "v1"
	udpVersion2        = "v2"
	udpVersion2Connect = "v2-connect"
)

// udpClient carries an association's packets over streams: one for all destinations, or, connected, one
// for each.
type udpClient struct {
	dial func(ctx context.Context, destination M.Socksaddr) (net.Conn, error)
	mode string
}

func (c *udpClient) carry(ctx context.Context, packets N.PacketConn) error {
	if c.mode == udpVersion2Connect {
		return c.carryConnected(ctx, packets)
	}
	client := uot.Client{Dialer: streamDialer{c.dial}, Version: uot.Version}
	if c.mode == udpVersion1 {
		client.Version = uot.LegacyVersion
	}
	// The request names no destination, since each packet does.
	conn, err := client.ListenPacket(ctx, M.ParseSocksaddr("0.0.0.0:0"))
	if err != nil {
		return errors.Join(err, N.ReportHandshakeFailure(packets, err))
	}
	return bufio.CopyPacketConn(ctx, packets, conn.(N.PacketConn))
}

func (c *udpClient) carryConnected(ctx context.Context, packets N.PacketConn) error {
	client := uot.Client{Dialer: streamDialer{c.dial}, Version: uot.Version}
	streams := map[M.Socksaddr]net.Conn{}
	var answers sync.WaitGroup
	defer func() {
		packets.Close()
		for _, stream := range streams {
			stream.Close()
		}
		answers.Wait()
	}()
	for {
		buffer := buf.NewPacket()
		destination, err := packets.ReadPacket(buffer)
		if err != nil {
			buffer.Release()
			return err
		}
		stream := streams[destination]
		if stream == nil {
			if stream, err = client.DialContext(ctx, N.NetworkUDP, destination); err != nil {
				buffer.Release()
				return err
			}
			streams[destination] = stream
			answers.Add(1)
			go func() {
				defer answers.Done()
				bufio.CopyPacket(packets, stream.(N.PacketConn))
			}()
		}
		_, err = stream.Write(buffer.Bytes())
		buffer.Release()
		if err != nil {
			return err
		}
	}
}

// streamDialer is what the module's UDP client asks for streams.
type streamDialer struct {
	dial func(ctx context.Context, destination M.Socksaddr) (net.Conn, error)
}

func (d streamDialer) DialContext(ctx context.Context, _ string, destination M.Socksaddr) (net.Conn, error) {
	return d.dial(ctx, destination)
}

func (d streamDialer) ListenPacket(context.Context, M.Socksaddr) (net.PacketConn, error) {
	return nil, errors.ErrUnsupported
}
