// What the heads of files promise, and what holds it: a "must never" stands only where a test does. What the text of a file
// can break is looked up in it (test/architecture.test.ts); what it does while it runs is held by the test that is named.

/** Promises about the text of a file, and what would break them. */
export const BY_TEXT: readonly [promise: RegExp, broken: RegExp][] = [
  [
    /\bhold code of its own|\bdefine anything (?:itself|but)/,
    /^(?:const(?! WIRES)|let|function|class)\b/m,
  ],
  [/\bread the environment/, /process\.env/],
  [/\bread a file: |\blook at a file\b/, /from 'node:fs/],
  [/\bmake the folder\b/, /\bmkdir/],
  [/\bimport anything\b/, /^import /m],
  [/\bimport undici/, /from 'undici/],
  [/\bimport a module of Node/, /from 'node:/],
  [/\bimport from another folder/, /from '\.\.\//],
  [/\bresolve a name\b|\blook a name up\b/, /from 'node:dns|\blookup\(/],
  [/\bbe a class/, /^export class/m],
  [/\bhold anything but data/, /^(?:export )?(?:class|async function)\b|\blet\b(?=.*=)/m],
  [/\bhold state or touch bytes/, /^(?:let|class)\b|Uint8Array\(/m],
  [/\bknow a session, a wire or TLS/, /from '\.\.\/(?:session|wires|tls)/],
  [/\bload(?:ed)? (?:when|for)\b.*\bcalled for/, /^import (?!type).*-command\.ts'/m],
  [/\bknow (?:which wire|SOCKS or HTTP)/, /from '(?:\.\.\/wires|\.\/socks|\.\/http)/],
  [/\bcompare them byte by byte/, /\b(?:username|password|digest)\)? ===(?! '')|\.equals\(/],
  [/\bopen or listen on anything/, /'node:(?:net|tls|http)'/],
]

/** What files promise of their work: the words behind "must never", and the tests that hold it, by file and title. */
export const BY_WORK: readonly (readonly [promise: string, ...tests: string[]])[] = [
  [
    'listen where others of the network come without a token',
    'cli/admin: where others come it does not listen without a token',
  ],
  ['take a file into both sets', 'cli/compare: refuses a file on both sides, whatever its name'],
  ['repeat a value of it', 'cli/config: bad input: %s has its line and column'],
  ['let the file win over the command line', 'cli/config: the command line counts more'],
  ['leave a process or a file behind', 'cli/programs: and leaves nothing behind'],
  [
    'show a stack trace, or a control character',
    'cli/bad-input: Bad input: %s: one line, exit code 2',
  ],
  ['repeat a piece of it', 'cli/bad-input: Bad input: %s: one line, exit code 2'],
  [
    'wait without a bound once it was told to stop',
    'cli/programs: a tunnel that does not end holds up the end for 5 s and no longer',
  ],
  [
    'print anything but the link on standard output',
    'cli/link: --qr draws the very link, on standard error',
  ],
  [
    'write a control character that came from outside',
    'cli/logger: one call gives one line without unsafe characters',
  ],
  [
    'show a stack trace, or more than one line, for what a user did',
    'cli/bad-input: Bad input: %s: one line, exit code 2',
  ],
  ['look at a file, or repeat a value', 'cli/bad-input: Bad input: %s: one line, exit code 2'],
  [
    'put a share link, which holds a password, into an error message',
    'cli/bad-input: Bad input: %s: one line, exit code 2',
  ],
  [
    'put a secret in an error message',
    'cli/password: more than one line is refused without showing them',
  ],
  [
    'let through what moves a cursor, starts a new line or reorders what is read',
    'cli/logger: control, bidi and separator characters are written as escapes',
  ],
  ['say a word when the work is done soon', 'cli/progress: is silent for two seconds'],
  [
    'read a file without a bound',
    'cli/report: a simulation above 64 MiB is refused before it is all read',
    'cli/scheme: a scheme of 10 MiB is one clear line, from a file as from standard input',
  ],
  ['keep the server from serving', 'serve/acme: the kept one serves until then'],
  [
    'show the share link, which holds a password, when --no-link says no',
    'cli/programs: --no-link and a level above info keep the link to themselves',
  ],
  [
    'claim that a certificate is trusted which nobody vouches for',
    'cli/server-link: a self-signed certificate is pinned, and the link is not insecure',
  ],
  [
    'let a client fill the log',
    'e2e/old-clients: with a line at info that says why and what would help, one a second',
  ],
  [
    'hold up the program for a reader that stands still, or keep lines for it without a bound',
    'cli/users: a reader that stands still never stops a program; lines are left out and counted',
  ],
  [
    'fail because the reader has gone, as `head` does',
    'cli/scheme: a reader that goes away early, as head does, is no failure',
  ],
  ['repeat a value in a message', 'cli/config: bad input: %s has its line and column'],
  [
    'let a password get into the arguments of a process',
    'cli/workers: with no password in its workers',
  ],
  [
    'put a byte outside 0x21-0x7E into a host',
    'codec/address: exactly the bytes 0x21-0x7E are taken in a name',
  ],
  ['accept a byte above 0x7E', 'codec/text-block: exactly 0x20-0x7E and LF are permitted'],
  [
    'keep a view that was pushed',
    'codec/block-queue: gives back every byte in order, however it went in and is taken',
  ],
  [
    'copy bytes, or keep a view that has been taken',
    'codec/byte-queue: never copies: what is taken lies in the memory that was pushed',
    'codec/byte-queue: keeps no reference to a view that was taken',
  ],
  [
    'wait for more bytes than a ClientHello may have',
    'codec/client-hello: never waited for beyond a full record',
  ],
  [
    'gather what passes through, or keep a chunk that is used up',
    'wires/anytls/frame-decoder: a chunk that is used up is let go, in the middle of any frame',
    'wires/anytls/frame-decoder: a gigabyte of PADDING passes through and nothing of it is kept',
  ],
  [
    'put text into an error message without escaping it',
    'codec/host-port: an error is one line of printable ASCII',
  ],
  [
    'accept a form that some other parser reads as another address (octal, short IPv4, zone ids)',
    'codec/ip: leading zeros, octal, hexadecimal and short forms are not IPv4',
  ],
  [
    'emit a block that the decoder rejects',
    'property/wire: no block is emitted that reads otherwise',
  ],
  [
    'take an address for one of another family, but for IPv4 mapped into IPv6, which is IPv4',
    'codec/network: any network and address: as BlockList says',
  ],
  [
    'ask for more bytes than a header may have',
    'codec/proxy-protocol: never waited for beyond the longest header',
  ],
  ['take a time that depends on the bytes', 'codec/same-bytes: every byte of both is looked at'],
  [
    'let any other byte through, in either direction',
    'codec/text-block: exactly 0x20-0x7E and LF are permitted',
  ],
  [
    'take a length that no UDP datagram has',
    'codec/udp-over-tcp: a datagram of 65,527 bytes is carried',
  ],
  ['read beyond the bytes it is given', 'codec/varint: reads no byte outside of the view'],
  [
    'move to a state that its table does not name',
    'property/machine-states: each frame, in each state, leads to the state that the table names',
  ],
  [
    'copy what is passed through',
    'wires/anytls/client-machine: unshaped stream data is passed on as the parts it was given',
  ],
  [
    'send what a stream has no credit for',
    'sim/connection: no window is overrun and nothing is left behind',
  ],
  [
    'promise what a relay of bytes cannot do (speak TLS to the endpoint, change a path)',
    'fallback/fallback-endpoint: is refused in one line',
  ],
  [
    'look at the bytes',
    'fallback/fallback-relay: bytes that are no HTTP at all reach the endpoint as they are',
  ],
  [
    'show by what it does that there was anything but a web server',
    'e2e/two-ends/prober: what it can tell them by is what the threat model lists',
  ],
  [
    'show to who knows no path, by an answer or by its time, that there are any',
    'serve/subscriptions: to miss a path takes as long however much of it is right',
  ],
  [
    'name a product, a protocol, a real place or a date, or load anything from elsewhere',
    'fallback/built-in-site: nothing in it tells what the server is',
  ],
  [
    'let more wait for the disk than a bound',
    'harness/capture/capture-file: asks to wait once a mebibyte waits for the disk',
  ],
  [
    'take more lines, or longer ones, than a capture may have',
    'harness/capture/capture-parser: more records than the bound are refused',
  ],
  [
    'let an observer of either side see anything but a relay',
    'harness/capture/capture: passes half-close on, from either side',
    'harness/capture/capture: passes a reset by the %s side on',
    'harness/capture/capture: a slow reader holds its writer back',
  ],
  [
    'change, add or leave out a byte',
    'harness/capture/capture: carries 32 MiB each way at once, unchanged',
  ],
  [
    'call a difference one without saying how many were looked at',
    'harness/compare/by-index: multiplies the smallest by their number',
  ],
  [
    'let a connection be scored by a forest that has learned from it',
    'harness/compare/forest: scores every sample once, by a forest that has not seen it',
  ],
  [
    'draw from anything but the source that it is given',
    'harness/compare/forest: grows the same from the same seed',
  ],
  [
    'keep an address, a name or a payload',
    'cli/capture: a capture of a pcap, which keeps no address',
  ],
  ['hold more than its bound', 'harness/pcap/pcap: what waits for a gap is bounded'],
  [
    'tell two sources apart by colour alone',
    'harness/report/page: tells sources apart by letter and shape as well as by colour',
  ],
  [
    'believe a file',
    'harness/report/page: draws what a comparison found, and refuses what is none',
  ],
  ['guess silently', 'harness/report/from-capture: tell of connections without data, of old TLS'],
  ['leave anything of a sample out', 'harness/report/statistics: the outermost hold all beyond'],
  [
    'let text from a file into the page unescaped',
    'harness/report/html: no text can begin a tag or end an attribute',
  ],
  [
    'draw more points than a browser bears, however large the sources are',
    'harness/report/page: stays small for large sources: points are left out, and the page says so',
  ],
  [
    'refer to anything outside of itself, or hold a script',
    'harness/report/page: is one page without anything from outside, and without scripts',
  ],
  [
    "use a colour whose contrast is below WCAG's 4.5 ",
    'e2e/report-browser: contrast: text 4.5 : 1, marks 3 : 1',
  ],
  [
    'shape by itself',
    'harness/simulate/simulate: the Writes are those that the shaper makes of the frames with the same draws',
  ],
  [
    'hold more records than its bound says, or believe a file',
    'harness/simulate/simulation: there may be 250,000 records in all runs together',
  ],
  [
    'take more of anything than its bounds say, or repair what is wrong',
    'harness/simulate/workload: refuses an event with %s',
  ],
  [
    'open again what a program may have sent data on',
    'proxy/client: what was given away is not opened again',
  ],
  [
    'keep a socket open without a limit',
    'proxy/close-gently: an other end that reads nothing is not waited for without a limit',
  ],
  [
    'send an answer that the origin cut short as if it were whole',
    'proxy/inbound/inbound-http: an answer that is cut short closes the connection instead of looking complete',
  ],
  [
    'drop a header that frames a body unless it is named',
    'proxy/inbound/inbound-http: a Connection header cannot take away what frames a body',
  ],
  [
    'open a tunnel for a program that has not given the credentials',
    'proxy/inbound/inbound-curl: 407 without the credentials, on CONNECT and on plain http',
  ],
  [
    'be used for another program',
    'e2e/two-ends/answers: NTLM: the requests of one program use one connection to the origin',
  ],
  [
    'change the path of a request but where bytes that no URL has stand in it',
    'proxy/inbound/inbound-http: is taken apart without changing the path',
  ],
  [
    'let a silent program hold a connection longer than the handshake timeout',
    'proxy/inbound/inbound-socks5: a program that is silent, or stops inside its handshake, is closed in time',
  ],
  [
    'take a program for gone that may still read',
    'proxy/inbound/leaving: half-close: is answered all the same',
  ],
  [
    'serve a port that asks for a password',
    'proxy/inbound/inbound-socks5: SOCKS4, which has no password, is rejected on a port that wants one',
  ],
  [
    'hold more than one message of the handshake, or drop a byte that follows it',
    'property/socks5: a handshake is decided within 1,032 bytes',
    'property/socks5: any segmentation of the bytes gives the same events and the same rest',
  ],
  [
    "hold more than two writes of a socket beside what the stream's window allows",
    'proxy/lean-relay: a slow reader holds the writer back and memory stays bounded',
  ],
  [
    'leave an attempt, a timer or a listener behind, whichever way it ends',
    'proxy/outbound/outbound-race: a signal ends every attempt',
  ],
  [
    'take anything but a plain yes, in time, for one',
    'proxy/outbound/serve-stream: says neither yes nor no refuses the stream',
    'proxy/outbound/serve-stream: a policy that has not answered after 10 s has said no',
  ],
  [
    'let a bad sub-connection harm another, or serve a main connection inside of a main connection',
    'proxy/outbound/serve-muxpro: and harms no other sub-connection',
    'proxy/outbound/serve-muxpro: a main connection inside of a main connection is refused',
  ],
  ['throw or reject', 'proxy/outbound/serve-stream: never rejects, whatever its options are'],
  [
    'lose what follows the address',
    'proxy/outbound/target-preamble: any segmentation gives the target, and what follows is still in the stream',
  ],
  [
    'give up an attempt because another was begun',
    'proxy/servers: one that no connection comes from is passed within a second, and may still win',
  ],
  [
    'end a sub-connection for the failure of one datagram',
    'proxy/outbound/serve-muxpro: nobody listening is no end: datagrams are lost',
  ],
  [
    'take a fragment for a datagram, or throw for what a program sent',
    'proxy/udp/socks5-datagram: fragments, and what has no valid address, are dropped',
    'property/udp-garbage: random bytes are a datagram that is encoded as it was, or none',
  ],
  [
    'outlive the control connection, or take a datagram from anybody but its program',
    'proxy/udp/udp-inbound: the association ends with its control connection',
    'proxy/udp/udp-inbound: datagrams from another port than the first are dropped',
  ],
  [
    'queue without a bound, or end an association for the failure of one datagram',
    'proxy/udp/udp-serve: answers that a slow stream cannot take are dropped, not queued',
    'proxy/udp/udp-serve: port 0, a datagram that is too large and a port where nobody listens end nothing',
  ],
  [
    'remember, or have waiting, more than its bounds allow, whatever the client sends',
    'proxy/udp/udp-serve: what waits for a name is bounded in bytes, and lookups in number',
    'proxy/udp/udp-serve: targets beyond the 256th push out the oldest',
  ],
  [
    'queue without a bound, open streams faster than one a second, or resolve a name',
    'proxy/udp/udp-tunnel: what waits for the stream is bounded in number and in bytes',
    'proxy/udp/udp-tunnel: a server that refuses is asked once a second',
  ],
  [
    'let a change of a user wait',
    'serve/login: a user who is disabled is out at once, and told; others go on',
  ],
  [
    'ask an authority more often than it bears, or give up',
    'serve/acme: is asked again after waits that double, until it is stopped',
  ],
  [
    'differ from what the routes do',
    'serve/admin/description: what the API does is what its description says',
  ],
  [
    'give away a password or a hash but in a link',
    'serve/admin/admin: users are added, changed, listed, linked, reset and removed',
  ],
  [
    "answer without the guard's word but for /healthz",
    'serve/admin/admin: with a token nobody without it, but for /healthz',
  ],
  [
    'let the name of another site lead here',
    'serve/admin/admin: a name that leads here is refused',
  ],
  ['grow with the users', 'serve/admin/admin: series for users with traffic alone'],
  [
    'put the token anywhere but into a header',
    'serve/admin/page: keeps it for the tab alone, and never in a URL',
  ],
  [
    'replace a certificate that is there',
    'serve/certificate: is never replaced: a damaged file is refused and stays as it is',
  ],
  ['wait for a process that is no more', 'serve/store: a lock whose process has ended is nobody`s'],
  ['refuse a session that runs for one that comes', 'serve/limiter: the newest session is refused'],
  ['leave a pin out silently', 'cli/link: the certificate pinned as they pin it'],
  [
    'take half a list for a whole one',
    'serve/panel/panel: an entry that is none takes the whole list along',
  ],
  ['repeat the token in an error', 'serve/panel/panel: the token is never repeated'],
  ['hold the token where the place is shown', 'serve/panel/panel: the token is never repeated'],
  [
    "let the panel's trouble become its users'",
    'serve/panel/panel: who is known goes on, also after a restart; counts arrive once',
  ],
  [
    'hold a password where the place is shown, or repeat a place that cannot be read',
    'serve/redis/redis: and no password is shown or repeated',
  ],
  ['count a batch that was counted', 'serve/redis/redis: the batch is told again and counts once'],
  [
    'take what is missing in Redis for a revocation',
    'serve/redis/redis: Redis killed, and back empty: who is known goes on',
  ],
  [
    "let the trouble of Redis become the users'",
    'serve/redis/redis: Redis killed, and back empty: who is known goes on',
  ],
  [
    'count a byte twice, or let go of one that Redis has not said it has',
    'serve/redis/redis: an answer that is lost does no harm: the batch is told again and counts once',
    'serve/redis/redis: a Redis that has lost the last batches, as after a switch, is told them again',
  ],
  [
    'show those of a server for long that has gone',
    'serve/redis/redis: limits on sessions and addresses hold over servers; who has gone counts no more',
  ],
  [
    'touch what runs, or let go of what was good before the new is',
    'serve/reload: the old stay in use until they are mended',
  ],
  [
    'let a count be in two batches, or a batch be forgotten before it is settled',
    'serve/redis/redis: the batch is told again and counts once',
  ],
  [
    'put anything into it that says what the server is',
    'serve/certificate: and nothing tells what it is',
  ],
  [
    'put a part that may hold a password into an error message',
    'cli/share-link: is refused by name, and the password stays out of it',
  ],
  [
    'log a path, or let anything on the way keep an answer',
    'cli/users: and no log has its path',
    'serve/subscriptions: and that nobody on the way is to keep it',
  ],
  [
    "let anybody but the server's operator reach the server itself through it",
    'serve/targets: the addresses of this machine are not, public or not',
  ],
  ['write a batch that counts twice', 'serve/journal: a batch that was written twice counts once'],
  [
    'count a byte twice, or forget one that was told',
    'serve/accounts: is counted to the byte over random traffic, resets included',
  ],
  [
    'lose a change that somebody else made',
    'serve/store: takes the changes of several writers at once, each of them whole',
  ],
  [
    'count the sessions of a server that is gone',
    'serve/redis/redis: limits on sessions and addresses hold over servers; who has gone counts no more',
  ],
  [
    'compare a secret byte by byte before it was found under a key that no stranger knows',
    'serve/store: a lookup costs the same for one user and for 100,000, found or not, near miss or far',
  ],
  ['pass over a fault', 'serve/users-file: is read, or refused with a place, and never worse'],
  [
    'count what a worker reported twice, or wait for a worker without a bound',
    'serve/workers/head-office: counts what workers report, once, whoever of them dies',
    'serve/workers/head-office: waits for a worker that says nothing no longer than 2 s',
  ],
  [
    'hold anybody up for long because of a share that was small when the bytes were taken',
    'serve/workers/rates: what was taken too much under a small share does not hold up a large one',
  ],
  [
    'give the workers together more than the rate',
    'serve/workers/rates: shares add up to the rate',
    'serve/workers/rates: workers that share their paces let through the rate',
  ],
  [
    'let one of them harm more than itself',
    'contract/throwing: is heard of once, and its sibling misses nothing',
  ],
  [
    "know which wire the machine speaks, buffer without a bound, or let a listener's exception stop a turn",
    'contract/throwing: is heard of once, and its sibling misses nothing',
    'session/session: bounds what streams that are over keep unread',
  ],
  [
    'keep a view beyond the turn that brought it',
    'contract/reads: chunks that are kept stay right: %s',
  ],
  [
    'deliver bytes that somebody else may use again, save in the turn that brings them',
    'contract/reads: what is done to a chunk harms no other',
  ],
  [
    "hold more for the socket than a few turns' worth",
    'session/stream: stops the writer within a bounded number of bytes when the server does not read',
  ],
  [
    'lose what comes before somebody takes it',
    'proxy/lean-relay: what both sides had to say before it began comes first',
  ],
  [
    'hand out a stream on a session that is draining or closed',
    'session/pool: never hands out a stream on a session that is closed or draining',
  ],
  [
    'reorder, or have more than one write under way',
    'session/record-writer: property: keeps the order, alone for every shaped Write, whatever comes when',
  ],
  [
    'buffer more than its highWaterMark of outgoing data, or lose data that came before an end',
    'session/stream: stops the writer within a bounded number of bytes when the server does not read',
    'session/stream: D6: data that came before RST is read before the end of the stream',
  ],
  [
    'touch a stream that is read',
    'session/session: without mux1 a stream that is read in time is not cut, and nothing is lost',
  ],
  ['change one that was released', 'shaping/named-schemes: what has a name never changes'],
  [
    'stop at the first problem, or call wrong what `parseScheme` accepts',
    'shaping/scheme-check: tells every error of every line, not the first alone',
    'shaping/scheme-check: finds errors in exactly what parseScheme refuses',
  ],
  [
    'grow without bound, or change the scheme of a connection that is running',
    'shaping/scheme-store: drops the least recently used server when it is full',
    'wires/anytls/client-machine: the connection that is running keeps the scheme that it began with',
  ],
  [
    'send a byte of a wire before the certificate has been accepted',
    'tls/connect: refuses a certificate that is not trusted, and sends no byte of ANYTLS',
  ],
  [
    'let a connection wait here without a bound in time and bytes, or lose a byte of what TLS must see',
    'tls/proxy-protocol: a header that does not come in time is not waited for',
    'tls/proxy-protocol: the header and the ClientHello in one segment',
  ],
  [
    'answer sooner for one wire than for the other, or for a near miss',
    'wires/anytls/auth: a near miss is looked at in full',
    'wires/legacy/codec: a near miss is looked at in full',
  ],
  ['grow without bound', 'tls/wires: keeps as many servers as it may, those learnt last'],
  [
    'answer sooner for a near miss',
    'wires/anytls/auth: a near miss is looked at in full',
    'wires/legacy/codec: a near miss is looked at in full',
  ],
  [
    'wait for the server before it sends, or change the scheme of a connection that runs',
    'wires/anytls/client-machine: the client MUST immediately send AUTH',
    'wires/anytls/client-machine: the connection that is running keeps the scheme that it began with',
  ],
  [
    'gather stream data or padding, or wait for a body longer than its cap',
    'property/frames: what the decoder keeps between chunks is at most a head or a body, never data or padding',
    'wires/anytls/frame-decoder: a violation shows with the very byte that makes it one',
  ],
  ['copy stream data', 'wires/anytls/frame-encoder: a DATA frame is encoded as its head alone'],
  [
    'write a byte before the client has authenticated',
    'wires/anytls/server-machine: before authentication the server writes nothing',
    'wires/legacy/states: a server writes nothing before authentication',
  ],
  [
    'send the authentication block in pieces, or a SYN before the settings',
    'wires/legacy/client-machine: the authentication block alone, then settings, SYN and the first PSH as one Write',
  ],
  [
    'gather stream data, or lose its place on a frame that has data where it should have none',
    'wires/legacy/codec: stream data are views of what was pushed',
    'wires/legacy/codec: data is skipped on every frame that should have none',
  ],
  [
    'put data on SYN, FIN or a heartbeat',
    'wires/legacy/client-machine: no frame but the PSH has data: anytls-go would lose its place',
  ],
  [
    'let a control character through to a log or a terminal, or throw',
    'wires/legacy/codec: control characters, bidirectional marks and broken UTF-8 never come through',
  ],
  ['throw', 'wires/legacy/codec: bytes that are no UTF-8 are settings of version 1'],
  [
    'send another frame before the server has answered the negotiation',
    'wires/muxpro/client-machine: MUST NOT send any other frame until a valid answer',
  ],
  [
    'gather the data of a TCP sub-connection',
    'wires/muxpro/frame-decoder: data of a TCP sub-connection are views of what was pushed',
  ],
  ['send a New', 'wires/muxpro/server-machine: MUST NOT send New'],
  [
    'resolve a name, or take a name that the address codec would not',
    'wires/muxpro/server-machine: or a name that is none, is refused with code 3',
  ],
  [
    'gather stream data, or wait for the rest of a head that breaks the rules',
    'wires/netmux/frame-decoder: payload is a view of what was pushed',
    'wires/netmux/frame-decoder: a violation shows with the last byte of the field that makes it one',
  ],
  ['copy stream data', 'wires/netmux/frame-encoder: a Data frame is encoded as its head alone'],
  [
    'wait for the peer before it speaks, or end a stream because the other end will open no more',
    'wires/netmux/machine: a stream is usable before the ACK',
    'wires/netmux/machine: after a GoAway of the peer no new streams; those that stand go on',
  ],
  [
    'take over what holds from a start on alone',
    'e2e/reload-config: a bad file keeps the old, with line and column; what needs a restart is named',
  ],
  [
    'give back another user than it was given',
    'serve/packed-users: whoever is put in comes out, whoever comes, changes or goes beside them',
  ],
]
