#  cases.py - what is measured, and how; the plan of a round
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Each measurement is a function that returns a dictionary of figures, and has a key: a tuple of
#  its case and what tells it from others of that case. `rate` is messages a second at the
#  consumers, unless said.

import statistics, time

import publish, zsp
from rig import (DEVICES, STOP_S, Case, Failed, anonymous_mib, cpu_seconds, disk_bytes, drop_caches,
                 free_ports, hwm_for)

STREAMS = ['direct', 'zmq_proxy', 'sync', 'async', 'explicit']
LATENCIES = ['zmq_proxy', 'sync', 'async']
ONCE = ['filesize', 'memory', 'restart', 'redelivery', *publish.ONCE]  # in the first round only
CASES = ['sync', 'async', 'explicit', 'direct', 'latency', 'backlog', 'peers', 'stored',
         'fragmented', *zsp.CASES, *publish.CASES] + ONCE

SMALL = 100                  # bytes: the size at which most cases are measured
FRAGMENTED_SIZES = (100, 16384)
MEMORY_SIZES = (100, 16384)
PEERS = 10                   # producers, and as many consumers
START_S = 0.3                # until a process has started
CONNECT_S = 1.0              # until many processes have started and connected
DRAIN_WARMUP_S = 0.2         # before the rate of draining is taken
STORED_S = 300               # longest wait for messages to be stored, or acknowledged

#  What is stored beforehand, at --scale 1
BACKLOG_MESSAGES = 2_000_000
STORED_MESSAGES = 10_000_000
FRAGMENTED_MIB = 1024
RESTART_MIB = 4096
RESTART_SIZE = 1024          # bytes of a message
RESTARTS = 5                 # warm, and as many cold
RESTART_COUNT = 64           # messages that the consumer waits for; the first one counts
MEMORY_BACKLOG_MIB = 1024
MEMORY_SAMPLE_S = 0.05
REDELIVERED = 1_000_000
ACK_TIMEOUT_S = 10           # longer than it takes to deliver REDELIVERED messages
FILESIZE_MIB = 512           # the backlog that stays; not below half of it at any scale, since the
FILESIZE_SCALE_MIN = 0.5     # file is reserved in steps of 64 MiB
FILESIZE_SIZE = 1024         # bytes of a message
FILESIZE_RATE = 100_000      # messages a second, in and out
FILESIZE_TURNOVER = 2        # so often the backlog passes before the measuring, and once during it
FILESIZE_SAMPLE_S = 0.5


def scaled(options, number):
    return max(1, int(number * options.scale))


def restart_count(options):
    return scaled(options, RESTART_MIB * 2 ** 20 // RESTART_SIZE)


#  Streams

def measure_stream(options, name, size, prepare=None):
    '''Producer -> middle -> consumer; returns the consumer's result, and the middle's CPU time'''
    hwm = hwm_for(options, size)
    window = ['--warmup', options.warmup, '--seconds', options.seconds, '--hwm', hwm]
    with Case(options, 2 << 30) as case:
        if name == 'direct':
            address = f'tcp://127.0.0.1:{free_ports(1)[0]}'
            case.start('bench_push', '--size', size, '--hwm', hwm, '@' + address)
            return case.result('bench_pull', *window, address)
        if prepare:
            prepare(case)
        middle, addresses = case.start_middle(name, hwm)
        producer = case.start('bench_push', '--size', size, '--hwm', hwm, addresses[0])
        if name == 'explicit':
            window += ['--ack-to', addresses[2], '--batch', options.batch]
        result = case.result('bench_pull', *window, addresses[1])
        result['cpu_us'] = cpu_seconds(middle) * 1e6 / result['total']
        case.stop(producer)
        case.stop(middle, clean=name in DEVICES)
        return result


def measure_fragmented(options, size):
    '''The same on a store where a spool, interleaved with others, has been purged'''
    def prepare(case):
        case.result('bench_store', 'fragment', '--mib', scaled(options, FRAGMENTED_MIB), case.store)
    return measure_stream(options, 'sync', size, prepare)


def measure_peers(options, name):
    '''Many producers and consumers, a process each; their windows open at the same time'''
    with Case(options, 2 << 30) as case:
        middle, addresses = case.start_middle(name)
        producers = [case.start('bench_push', '--producer', index, addresses[0])
                     for index in range(PEERS)]
        arguments = ['--open-at', time.monotonic() + CONNECT_S + options.warmup,
                     '--seconds', options.seconds, '--shared', '--stay']
        if name == 'explicit':
            arguments += ['--ack-to', addresses[2], '--batch', options.batch]
        consumers = [case.start('bench_pull', *arguments, addresses[1]) for _ in range(PEERS)]
        results = [case.line(consumer) for consumer in consumers]
        cpu = cpu_seconds(middle)
        for producer in producers:
            case.stop(producer)
        case.stop(middle, clean=name in DEVICES)
        rates = [result['rate'] for result in results]
        return {'rate': sum(rates), 'least_rate': min(rates), 'most_rate': max(rates),
                'cpu_us': cpu * 1e6 / sum(result['total'] for result in results)}


#  One message at a time

def measure_latency(options, name):
    with Case(options) as case:
        middle, addresses = case.start_middle(name)
        result = case.result('bench_latency', '--warmup', options.warmup,
                             '--seconds', options.latency_seconds, *addresses[:2])
        case.stop(middle, clean=name in DEVICES)
        return result


def measure_disk(options):
    with Case(options) as case:
        return case.result('bench_disk', '--seconds', options.latency_seconds, case.directory)


#  With messages in the store

def wait_stored(case, count):
    deadline = time.monotonic() + STORED_S
    stored = 0
    while stored < count:
        if time.monotonic() > deadline:
            raise Failed(f'only {stored} of {count} messages were stored')
        time.sleep(0.2)
        info = case.info()
        stored = info['spools'][0]['messages'] if info.get('spools') else 0


def measure_backlog(options):
    '''Store messages with no consumer there, then attach one: the rate at which it gets them'''
    count = max(1000, scaled(options, BACKLOG_MESSAGES))
    with Case(options, count * SMALL * 2) as case:
        device, addresses = case.start_middle('sync')
        case.result('bench_push', '--size', SMALL, '--count', count, addresses[0])
        wait_stored(case, count)
        result = case.result('bench_pull', '--warmup', DRAIN_WARMUP_S if count > 500_000 else 0,
                             '--count', count, addresses[1])
        case.stop(device, clean=True)
        return result


def last_sequence(case):
    '''The newest message's number, and the time as of which it is'''
    before = time.monotonic()
    info = case.info()
    return info['spools'][0]['last_sequence'], (before + time.monotonic()) / 2


def measure_stored(options, count):
    '''Producer and consumer at full speed with `count` messages between them in the store: new ones
    go in behind, the consumer gets old ones. `rate` is the mean of the rates in and out.'''
    with Case(options, count * SMALL * 2 + (2 << 30)) as case:
        if count:
            case.fill(SMALL, count)
        device, addresses = case.start_middle('sync')
        case.start('bench_push', '--size', SMALL, '--producer', 1, addresses[0])
        open_at = time.monotonic() + options.warmup
        consumer = case.start('bench_pull', '--open-at', open_at, '--seconds', options.seconds,
                              addresses[1])
        time.sleep(max(0, open_at - time.monotonic()))
        first, first_at = last_sequence(case)
        time.sleep(max(0, open_at + options.seconds - time.monotonic()))
        last, last_at = last_sequence(case)
        result = case.finish(consumer)
        left = case.info()['spools'][0]['messages']
        if left < count / 2:
            raise Failed(f'only {left} of {count} messages were left at the end')
        result['out_rate'] = result['rate']
        result['in_rate'] = (last - first) / (last_at - first_at)
        result['rate'] = (result['in_rate'] + result['out_rate']) / 2
        return result | {'left': left}


def restart_once(case, addresses, cold):
    '''Seconds from starting a device to the first message at a consumer that waits for it'''
    consumer = case.start('bench_pull', '--warmup', 0, '--count', RESTART_COUNT, '--reconnect', 1,
                          addresses[1])
    time.sleep(START_S)
    if cold and not drop_caches():
        return None
    started = time.monotonic()
    device = case.start_device('sync', addresses)
    first = case.finish(consumer)['first']
    device.kill()
    device.wait(STOP_S)
    return first - started


def measure_restart(options):
    '''With a backlog and default settings; the device before was killed with SIGKILL. Cold: nothing
    of the store, of the command or of its libraries is in memory.'''
    count = restart_count(options)
    with Case(options, int(count * RESTART_SIZE * 1.2)) as case:
        case.fill(RESTART_SIZE, count)
        result = {'messages': count}
        for label, cold in (('warm', False), ('cold', True)):
            addresses = [f'tcp://127.0.0.1:{port}' for port in free_ports(3)]
            taken = [restart_once(case, addresses, cold) for _ in range(RESTARTS)]
            if None not in taken:
                result[label + '_s'] = statistics.median(taken)
                result[label + '_max_s'] = max(taken)
        return result


def measure_filesize(options):
    '''A backlog that stays, equal rates in and out, until it has been replaced several times: the
    store's size against the bytes of the blocks that are in it'''
    backlog = int(FILESIZE_MIB * 2 ** 20 * max(options.scale, FILESIZE_SCALE_MIN))
    turnover_s = backlog / FILESIZE_SIZE / FILESIZE_RATE
    with Case(options, backlog * 4) as case:
        case.fill(FILESIZE_SIZE, backlog // FILESIZE_SIZE)
        device, addresses = case.start_middle('sync')
        case.start('bench_push', '--size', FILESIZE_SIZE, '--producer', 1,
                   '--rate', FILESIZE_RATE, addresses[0])
        consumer = case.start('bench_pull', '--rate', FILESIZE_RATE, '--warmup', 0,
                              '--seconds', (FILESIZE_TURNOVER + 1) * turnover_s, addresses[1])
        time.sleep(FILESIZE_TURNOVER * turnover_s)
        ratios = []
        while consumer.poll() is None or not ratios:
            info = case.info()
            spool = info['spools'][0]
            size = max(info['file_bytes'], disk_bytes(case.store))
            ratios.append(size / max(1, spool['bytes']))
            time.sleep(FILESIZE_SAMPLE_S)
        case.finish(consumer)
        case.stop(device, clean=True)
        return {'ratio': statistics.median(ratios), 'most_ratio': max(ratios),
                'live_mib': spool['bytes'] / 2 ** 20, 'size_mib': size / 2 ** 20,
                'block_kib': spool['bytes'] / max(1, spool['blocks']) / 1024}


def measure_memory(options, peers, size, has_backlog):
    '''The most anonymous memory that a device with default settings takes under full load'''
    backlog = scaled(options, MEMORY_BACKLOG_MIB) * 2 ** 20 if has_backlog else 0
    with Case(options, int(backlog * 1.2) + (4 << 30)) as case:
        if backlog:
            case.fill(size, max(1, backlog // size))
        addresses = [f'tcp://127.0.0.1:{port}' for port in free_ports(3)]
        device = case.start_device('sync', addresses)
        case.wait_ready(device)
        for index in range(peers):
            case.start('bench_push', '--size', size, '--producer', index + 1, addresses[0])
        close_at = time.monotonic() + CONNECT_S + options.memory_seconds
        consumers = [case.start('bench_pull', '--shared', '--stay', '--warmup', 0, '--seconds',
                                options.memory_seconds, addresses[1]) for _ in range(peers)]
        most = 0
        while time.monotonic() < close_at:
            most = max(most, anonymous_mib(device))
            time.sleep(MEMORY_SAMPLE_S)
        rate = sum(case.line(consumer)['rate'] for consumer in consumers)
        return {'memory_mib': most, 'rate': rate}


def measure_redelivery(options):
    '''Deliver messages and never acknowledge them; let all their tickets run out; then they are
    sent again to another consumer, which acknowledges: its rate, the time until all are
    acknowledged, and the CPU the device takes for that, and for waiting'''
    count = max(1000, scaled(options, REDELIVERED))
    with Case(options, count * SMALL * 2) as case:
        case.fill(SMALL, count)
        addresses = [f'tcp://127.0.0.1:{port}' for port in free_ports(3)]
        device = case.start_device('explicit', addresses, '--ack-timeout', ACK_TIMEOUT_S * 1000)
        case.wait_ready(device)
        first = case.result('bench_pull', '--hold', '--warmup', 0, '--count', count, addresses[1])
        waiting = cpu_seconds(device)
        time.sleep(ACK_TIMEOUT_S + 1)
        cpu, started = cpu_seconds(device), time.monotonic()
        result = case.result('bench_pull', '--ack-to', addresses[2], '--batch', options.batch,
                             '--warmup', 0, '--count', count, addresses[1])
        while case.info()['spools'][0]['cursors'][0]['pending']:
            if time.monotonic() - started > STORED_S:
                raise Failed('not everything that was sent again became acknowledged')
            time.sleep(0.05)
        seconds = time.monotonic() - started
        figures = {'rate': result['rate'], 'first_rate': first['rate'], 'messages': count,
                   'all_s': seconds, 'cpu_us': (cpu_seconds(device) - cpu) * 1e6 / count,
                   'waiting_cpu_s': cpu - waiting}
        case.stop(device, clean=True)
        return figures


#  The plan

def is_held_against(options, size):
    '''Whether anything is that is measured with messages of this size'''
    return any(case in options.cases for case in STREAMS) or (
        'zsp' in options.cases and size in zsp.SIZES)


def plan_streams(options, add):
    for size in options.sizes:
        for name in STREAMS:
            if name in options.cases or (name == 'zmq_proxy' and is_held_against(options, size)):
                add(('stream', name, size), measure_stream, name, size)
        zsp.plan_size(options, add, size)
        if size == SMALL and 'backlog' in options.cases:
            add(('backlog',), measure_backlog)


def plan_once(options, add):
    if 'filesize' in options.cases:
        add(('filesize',), measure_filesize)
    if 'restart' in options.cases:
        add(('restart',), measure_restart)
    if 'redelivery' in options.cases:
        add(('redelivery',), measure_redelivery)
    if 'memory' in options.cases:
        for size in MEMORY_SIZES:
            for peers in (1, PEERS):
                for has_backlog in (False, True):
                    add(('memory', peers, size, has_backlog), measure_memory, peers, size,
                        has_backlog)


def plan(options, number):
    '''The measurements of a round: a function without arguments by key, in order'''
    steps = {}

    def add(key, function, *arguments):
        steps.setdefault(key, lambda: function(options, *arguments))

    add(('disk',), measure_disk)
    if any(case in options.cases for case in STREAMS + ['backlog', 'zsp']):
        plan_streams(options, add)
    if 'backlog' in options.cases:  # they are held against these
        add(('stream', 'sync', SMALL), measure_stream, 'sync', SMALL)
        add(('backlog',), measure_backlog)
    if 'peers' in options.cases:
        for name in ['zmq_proxy'] + [name for name in DEVICES]:
            add(('peers', name), measure_peers, name)
    if 'latency' in options.cases:
        for name in LATENCIES:
            add(('latency', name), measure_latency, name)
    if 'stored' in options.cases:
        for count in (0, scaled(options, STORED_MESSAGES)):
            add(('stored', 'full' if count else 'empty'), measure_stored, count)
    if 'fragmented' in options.cases:
        for size in FRAGMENTED_SIZES:
            add(('clean', size), measure_stream, 'sync', size)
            add(('fragmented', size), measure_fragmented, size)
    zsp.plan_service(options, add)
    publish.plan_streams(options, add)
    if 'replay' in options.cases or 'feeds' in options.cases:  # they are held against this
        add(('stream', 'sync', SMALL), measure_stream, 'sync', SMALL)
    if number == 1:
        plan_once(options, add)
        publish.plan_once(options, add)
    return steps
