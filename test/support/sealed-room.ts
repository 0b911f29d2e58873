import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What unshare and nsenter are told beside the namespaces: root needs nothing, others a user namespace. */
const AS_ROOT = process.getuid?.() === 0;
const MAKE = AS_ROOT ? [] : ['-r'];
const ENTER = AS_ROOT ? [] : ['-U', '--preserve-credentials'];

/** A host of the room's own beyond its door, in a network namespace of its own: whatever leaves would reach it. */
export const BEYOND = '192.0.2.2';

/**
 * Loopback and a door: a default route to BEYOND. Whatever is not loopback is counted and dropped at the door.
 * What the kernel itself says of its addresses (RFC 4861, RFC 3810) is counted apart; no socket can send it.
 */
const RULES = `
table inet room {
  counter kernel { }
  counter left { }
  chain out {
    type filter hook output priority 0; policy drop;
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } counter name kernel drop
    counter name left drop
  }
}`;

// $0: the folder of the room's own files. Both namespaces end when standard input does.
const BUILD = `
set -e
PATH=$PATH:/usr/sbin:/sbin
mount --bind "$0/resolv.conf" /etc/resolv.conf
unshare -n sleep infinity & far=$!
trap 'kill $far' EXIT
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link set lo up
ip link add door type veth peer name out netns $far
nsenter -t $far -n sh -c 'ip link set lo up; ip addr add ${BEYOND}/24 dev out; ip link set out up'
nft -f "$0/rules.nft"
ip addr add 192.0.2.1/24 dev door
ip -6 addr add 2001:db8::1/64 dev door nodad
ip link set door up
ip route add default via ${BEYOND}
ip -6 route add default via 2001:db8::2
echo sealed
cat > /dev/null
`;

/** A network namespace without a way out, in which what tries to leave is counted. */
export interface SealedRoom extends AsyncDisposable {
  /** A program and its arguments, before which they make a command that runs in the room. */
  readonly inside: readonly string[];
  /** Packets that were on their way out of the room since it was made, none of which got out. */
  left(): number;
}

/**
 * Makes a room; `folder` holds its files.
 * @throws when this machine permits no network namespaces, with the reason.
 */
export async function sealRoom(folder: string): Promise<SealedRoom> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'rules.nft'), RULES);
  writeFileSync(path.join(folder, 'resolv.conf'), `nameserver ${BEYOND}\noptions timeout:1 attempts:1\n`);
  const holder = spawn('unshare', [...MAKE, '-n', '-m', 'sh', '-c', BUILD, folder], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  holder.stderr.on('data', (piece: Buffer) => (said += piece.toString()));
  const ended = new Promise<'ended'>((resolve) => {
    holder.once('error', (error) => ((said += error.message), resolve('ended')));
    holder.once('close', () => resolve('ended'));
  });
  if ((await Promise.race([once(holder.stdout, 'data'), ended])) === 'ended') {
    throw new Error(
      `no sealed room can be made here; it takes network namespaces (root, or user namespaces), iproute2 and nftables: ${said.trim()}`,
    );
  }
  const inside = ['nsenter', '-t', String(holder.pid), ...ENTER, '-n', '-m'];
  return {
    inside,
    left: () => packetsLeft(inside),
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await ended;
    },
  };
}

function packetsLeft([program = '', ...enter]: readonly string[]): number {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const read = spawnSync(program, [...enter, 'nft', '-j', 'list', 'counter', 'inet', 'room', 'left'], {
    encoding: 'utf8',
    env,
  });
  if (read.status !== 0) throw new Error(`the counter cannot be read: ${read.stderr}`);
  // The form that libnftables-json(5) gives.
  const { nftables } = JSON.parse(read.stdout) as { nftables: { counter?: { packets: number } }[] };
  const [packets] = nftables.flatMap(({ counter }) => counter?.packets ?? []);
  if (packets === undefined) throw new Error(`the counter is not there: ${read.stdout}`);
  return packets;
}
