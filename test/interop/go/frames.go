package main

import "encoding/binary"

// Commands of the original wire.
const (
	commandWaste             = 0
	commandSyn               = 1
	commandData              = 2
	commandFin               = 3
	commandSettings          = 4
	commandAlert             = 5
	commandUpdateScheme      = 6
	commandSynAck            = 7
	commandHeartbeat         = 8
	commandHeartbeatResponse = 9
	commandServerSettings    = 10
)

const (
	frameHead    = 7
	authHead     = 32 + 2
	maxFrameData = 65535
)

type frame struct {
	command byte
	stream  uint32
	data    []byte
}

// frameReader finds the frames in the bytes of one direction, after the authentication if there is one.
type frameReader struct {
	skipAuthentication bool
	pending            []byte
}

// read returns the frames that are complete with `bytes`; their data is valid until the next call.
func (r *frameReader) read(bytes []byte) (frames []frame) {
	r.pending = append(r.pending, bytes...)
	if r.skipAuthentication {
		if len(r.pending) < authHead {
			return nil
		}
		length := authHead + int(binary.BigEndian.Uint16(r.pending[authHead-2:]))
		if len(r.pending) < length {
			return nil
		}
		r.pending = r.pending[length:]
		r.skipAuthentication = false
	}
	for len(r.pending) >= frameHead {
		length := frameHead + int(binary.BigEndian.Uint16(r.pending[5:]))
		if len(r.pending) < length {
			break
		}
		frames = append(frames, frame{
			command: r.pending[0],
			stream:  binary.BigEndian.Uint32(r.pending[1:]),
			data:    r.pending[frameHead:length],
		})
		r.pending = r.pending[length:]
	}
	return frames
}

func encodeFrame(f frame) []byte {
	bytes := make([]byte, frameHead, frameHead+len(f.data))
	bytes[0] = f.command
	binary.BigEndian.PutUint32(bytes[1:], f.stream)
	binary.BigEndian.PutUint16(bytes[5:], uint16(len(f.data)))
	return append(bytes, f.data...)
}
