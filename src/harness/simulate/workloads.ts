// The workloads that come with the package, as they were measured. The same stands in fixtures/workloads.
import type { Workload, WorkloadEvent } from './workload.ts'

/** What an event is written as: `time direction stream bytes`, then `open` or `end`. */
function workload(name: string, about: string, events: string): Workload {
  return Object.freeze({ name, about, events: Object.freeze(events.split(',').map(readEvent)) })
}

function readEvent(text: string): WorkloadEvent {
  const [time, direction, stream, bytes, flag] = text.trim().split(/\s+/)
  return Object.freeze({
    time: Number(time),
    direction: direction === 'up' ? 'up' : 'down',
    bytes: Number(bytes),
    stream: Number(stream),
    open: flag === 'open',
    end: flag === 'end',
  })
}

/** The built-in workloads by name. */
export const WORKLOADS = Object.freeze({
  /** A TLS handshake inside the tunnel. */
  handshake: workload(
    'handshake',
    [
      'A TLS 1.3 handshake inside the tunnel: a node:tls client (Node 20.20, OpenSSL 3, X25519,',
      'ALPN http/1.1) to an HTTPS server with one P-256 certificate, close_notify after 50 ms.',
      'Measured on loopback as the chunks that a relay read from either side; no delay was',
      "added. The stream begins with the target's address, 13 bytes for the name localhost.",
    ].join(' '),
    `0 up 1 13 open, 2.5 up 1 382, 3 down 1 800, 3.8 up 1 80, 4.2 down 1 574, 54.7 up 1 24,
    54.9 up 1 0 end, 55.3 down 1 24, 55.4 down 1 0 end`,
  ),
  /** A page in a browser, over h2. */
  page: workload(
    'page',
    [
      'A small HTTPS page in headless Chromium behind a SOCKS5 relay: HTML, a style sheet, a',
      'script that fetches JSON, six pictures, an icon; 200 kB over HTTP/2 on one connection of',
      'the two that it opens, ClientHello with a post-quantum key share. Measured on loopback',
      'as the chunks that the relay read from either side; no delay was added. Each stream',
      "begins with the target's address, 13 bytes for the name localhost.",
    ].join(' '),
    `0 up 1 13 open, 0.4 up 2 13 open, 1.3 up 1 1917, 1.8 up 2 1981, 1.8 down 1 794, 3.5 down 2 793,
    17.6 up 1 80, 17.8 up 2 80, 18.9 up 2 0 end, 19.8 up 1 560, 19.9 down 1 605, 20.3 down 2 629,
    21.8 down 2 0 end, 21.9 up 1 31, 22 down 1 5339, 29.1 down 1 31, 51.6 up 1 121,
    52.6 down 1 9078, 52.8 down 1 31, 52.8 up 1 493, 55.4 down 1 59066, 55.9 down 1 65536,
    55.9 down 1 51200, 56 down 1 12584, 80.1 up 1 357, 98.6 up 1 78, 121.7 down 1 2564,
    121.9 down 1 31, 130.5 up 1 62, 131.1 down 1 1210, 131.3 down 1 31, 246.2 up 1 0 end,
    246.7 down 1 24, 246.8 down 1 0 end`,
  ),
  /** 4 MiB at once. */
  download: workload(
    'download',
    [
      'A download of 4 MiB: curl over HTTPS and HTTP/2 behind a SOCKS5 relay. Measured on',
      'loopback as the chunks that the relay read from either side; no delay was added, so all',
      "of it comes within 15 ms. The stream begins with the target's address, 13 bytes for the",
      'name localhost.',
    ].join(' '),
    `0 up 1 13 open, 3.3 up 1 517, 3.9 down 1 793, 5.2 up 1 80, 5.6 up 1 152, 5.6 down 1 605,
    12.3 down 1 65536, 12.4 down 1 61471, 12.5 up 1 31, 12.5 down 1 65536, 12.5 down 1 28672,
    12.6 down 1 65536, 12.8 down 1 65536, 12.9 down 1 65536, 12.9 down 1 65536, 12.9 down 1 65536,
    12.9 down 1 65536, 13 down 1 65536, 13 down 1 65536, 13 down 1 65536, 13 down 1 65536,
    13.1 down 1 65536, 13.1 down 1 65536, 13.1 down 1 65536, 13.2 down 1 65536, 13.2 down 1 65536,
    13.2 down 1 65536, 13.2 down 1 65536, 13.2 down 1 65536, 13.3 down 1 65536, 13.3 down 1 65536,
    13.3 down 1 65536, 13.3 down 1 65536, 13.4 down 1 65536, 13.4 down 1 65536, 13.4 down 1 65536,
    13.5 down 1 65536, 13.5 down 1 65536, 13.5 down 1 65536, 13.5 down 1 65536, 13.5 down 1 65536,
    13.6 down 1 65536, 13.6 down 1 65536, 13.6 down 1 65536, 13.6 down 1 65536, 13.7 down 1 65536,
    13.7 down 1 65536, 13.7 down 1 65536, 13.7 down 1 65536, 13.8 down 1 65536, 13.8 down 1 65536,
    13.8 down 1 65536, 13.8 down 1 65536, 13.8 down 1 65536, 13.9 down 1 65536, 13.9 down 1 65536,
    13.9 down 1 65536, 13.9 down 1 65536, 13.9 down 1 65536, 14 down 1 65536, 14 down 1 65536,
    14 down 1 65536, 14 down 1 65536, 14 down 1 65536, 14 down 1 65536, 14.1 down 1 65536,
    14.1 down 1 65536, 14.1 down 1 38912, 14.4 down 1 65536, 14.4 down 1 65536, 14.4 down 1 65536,
    14.5 down 1 65536, 14.5 down 1 10074, 14.7 down 1 31`,
  ),
  /** Keys typed into a shell. */
  shell: workload(
    'shell',
    [
      'Five commands typed into bash on a pseudo-terminal, with gaps of 90 to 210 ms between',
      'the keys and 0.6 s between the commands: a byte up for each key, down its echo and the',
      'output as the terminal gave it in single reads. There is no encryption inside the',
      'tunnel; a shell over SSH would have packets of 36 bytes and more in the same places. The',
      "stream begins with the target's address, 13 bytes for the name localhost.",
    ].join(' '),
    `0 up 1 13 open, 3.1 down 1 19, 400.5 up 1 1, 400.8 down 1 1, 520.8 up 1 1, 521.1 down 1 1,
    611 up 1 1, 611.2 down 1 1, 761.3 up 1 1, 761.5 down 1 1, 871.5 up 1 1, 871.6 down 1 1,
    1081.9 up 1 1, 1082.1 down 1 1, 1182.2 up 1 1, 1182.3 down 1 1, 1312.4 up 1 1, 1312.5 down 1 1,
    1482.6 up 1 1, 1482.7 down 1 1, 1577.7 up 1 1, 1577.9 down 1 1, 1718 up 1 1, 1718.1 down 1 1,
    1838.2 up 1 1, 1838.4 down 1 1, 1928.4 up 1 1, 1928.5 down 1 1, 2078.6 up 1 1, 2078.7 down 1 1,
    2188.8 up 1 1, 2189.3 down 1 11, 2190.7 down 1 10, 2190.8 down 1 51, 2190.8 down 1 2,
    2190.8 down 1 161, 2190.8 down 1 111, 2190.8 down 1 56, 2191 down 1 19, 2999.8 up 1 1,
    3000.1 down 1 1, 3100.1 up 1 1, 3100.3 down 1 1, 3230.4 up 1 1, 3230.6 down 1 1, 3400.7 up 1 1,
    3400.8 down 1 1, 3495.9 up 1 1, 3496.1 down 1 1, 3636.2 up 1 1, 3636.4 down 1 1, 3756.5 up 1 1,
    3756.7 down 1 1, 3846.8 up 1 1, 3847.1 down 1 1, 3997.1 up 1 1, 3997.3 down 1 11,
    3998.6 down 1 69, 3998.7 down 1 19, 4708 up 1 1, 4708.3 down 1 1, 4918.3 up 1 1,
    4918.5 down 1 1, 5018.5 up 1 1, 5018.7 down 1 1, 5148.8 up 1 1, 5149 down 1 1, 5319.1 up 1 1,
    5319.2 down 1 1, 5414.4 up 1 1, 5414.5 down 1 1, 5554.7 up 1 1, 5554.8 down 1 1, 5675 up 1 1,
    5675.2 down 1 1, 5765.2 up 1 1, 5765.4 down 1 1, 5915.5 up 1 1, 5915.7 down 1 1, 6025.8 up 1 1,
    6025.9 down 1 1, 6236.1 up 1 1, 6236.2 down 1 1, 6336.3 up 1 1, 6336.4 down 1 1, 6466.5 up 1 1,
    6466.7 down 1 1, 6636.8 up 1 1, 6637 down 1 1, 6732.1 up 1 1, 6733.8 down 1 1, 6874 up 1 1,
    6874.1 down 1 1, 6994.2 up 1 1, 6994.3 down 1 1, 7084.4 up 1 1, 7084.5 down 1 1, 7234.6 up 1 1,
    7234.7 down 1 1, 7344.8 up 1 1, 7344.9 down 1 1, 7555.1 up 1 1, 7555.2 down 1 1, 7655.4 up 1 1,
    7655.5 down 1 1, 7785.6 up 1 1, 7785.7 down 1 1, 7956 up 1 1, 7956.6 down 1 11,
    7957.6 down 1 35, 7957.7 down 1 19, 8652.4 up 1 1, 8652.5 down 1 1, 8792.7 up 1 1,
    8792.8 down 1 1, 8912.8 up 1 1, 8916.8 down 1 1, 9006.9 up 1 1, 9007.1 down 1 1, 9157.2 up 1 1,
    9157.3 down 1 1, 9267.7 up 1 1, 9267.8 down 1 1, 9478 up 1 1, 9478.1 down 1 1, 9578.2 up 1 1,
    9578.3 down 1 1, 9708.5 up 1 1, 9708.6 down 1 1, 9878.7 up 1 1, 9878.8 down 1 1, 9973.9 up 1 1,
    9974.1 down 1 1, 10114.2 up 1 1, 10114.3 down 1 1, 10234.4 up 1 1, 10234.5 down 1 1,
    10324.6 up 1 1, 10324.7 down 1 1, 10474.9 up 1 1, 10475 down 1 1, 10585.1 up 1 1,
    10585.2 down 1 1, 10795.4 up 1 1, 10795.5 down 1 1, 10895.6 up 1 1, 10895.7 down 1 1,
    11025.8 up 1 1, 11025.9 down 1 1, 11196.1 up 1 1, 11196.6 down 1 11, 11197.7 down 1 276,
    11197.8 down 1 19, 11892 up 1 1, 11892.1 down 1 1, 12032.2 up 1 1, 12032.3 down 1 1,
    12152.4 up 1 1, 12152.5 down 1 1, 12242.6 up 1 1, 12242.7 down 1 1, 12392.8 up 1 1,
    12393.2 down 1 17`,
  ),
})
