package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	M "github.com/sagernet/sing/common/metadata"
	"github.com/sagernet/sing/protocol/socks"
	"github.com/sagernet/sing/protocol/socks/socks5"
)

const chunk = 64 << 10

// runOrigin is a plain HTTP server: GET /N answers N bytes, PUT / answers how many bytes came.
func runOrigin(arguments []string) error {
	flags := flag.NewFlagSet("origin", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	flags.Parse(arguments)

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	announce(listener.Addr())
	bytes := make([]byte, chunk)
	return http.Serve(listener, http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPut {
			n, _ := io.Copy(io.Discard, request.Body)
			fmt.Fprint(response, n)
			return
		}
		length, err := strconv.ParseInt(strings.TrimPrefix(request.URL.Path, "/"), 10, 64)
		if err != nil {
			http.NotFound(response, request)
			return
		}
		response.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		for length > 0 {
			n, err := response.Write(bytes[:min(length, chunk)])
			if err != nil {
				return
			}
			length -= int64(n)
		}
	}))
}

// runLoad asks an origin through a SOCKS5 proxy and prints what it took as JSON. Each request has a tunnel of
// its own.
func runLoad(arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	proxy := flags.String("proxy", "", "HOST:PORT of a SOCKS5 proxy")
	origin := flags.String("origin", "", "HOST:PORT of the origin")
	requests := flags.Int("requests", 1, "how many requests")
	concurrency := flags.Int("concurrency", 1, "how many of them at once")
	size := flags.Int64("bytes", 1024, "body of each, in bytes")
	upload := flags.Bool("upload", false, "send the bytes instead of getting them")
	flags.Parse(arguments)

	transport := &http.Transport{
		DisableKeepAlives: true,
		WriteBufferSize:   chunk,
		ReadBufferSize:    chunk,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", *proxy)
			if err != nil {
				return nil, err
			}
			_, err = socks.ClientHandshake5(conn, socks5.CommandConnect, M.ParseSocksaddr(address), "", "")
			if err != nil {
				conn.Close()
				return nil, err
			}
			return conn, nil
		},
	}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Minute}

	var next, failed atomic.Int64
	var firstError atomic.Value
	var workers sync.WaitGroup
	begin := time.Now()
	for range *concurrency {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for next.Add(1) <= int64(*requests) {
				if err := transfer(client, *origin, *size, *upload); err != nil {
					failed.Add(1)
					firstError.CompareAndSwap(nil, err.Error())
				}
			}
		}()
	}
	workers.Wait()
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"seconds": time.Since(begin).Seconds(),
		"failed":  failed.Load(),
		"error":   firstError.Load(),
	})
}

func transfer(client *http.Client, origin string, size int64, upload bool) error {
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%d", origin, size), nil)
	if upload {
		request, err = http.NewRequest(http.MethodPut, "http://"+origin+"/", io.LimitReader(zeros{}, size))
		request.ContentLength = size
	}
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || (!upload && n != size) {
		return errors.New("a wrong answer: " + response.Status)
	}
	return nil
}

// zeros is a source of bytes without end.
type zeros struct{}

func (zeros) Read(bytes []byte) (int, error) {
	return len(bytes), nil
}
