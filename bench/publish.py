#  publish.py - what is measured of streams: PUB and SUB, feeds, filters, history, limits
#
#  SPDX-License-Identifier: MPL-2.0
#
#  As cases.py: each measurement returns a dictionary of figures, and has a key.

import time

from rig import DEVICES, SETTLE_MS, Case, Failed, cpu_seconds, disk_bytes, free_ports, hwm_for

MIDDLES = ['zmq_proxy', 'sync', 'async']
SUBSCRIBERS = (1, 5)
SIZES = (100, 1024, 16384)   # bytes of a message, with one subscriber; with more the first
SMALL = SIZES[0]
FEEDS = 10
FILTERS = (0, 1000)          # of a feed
MATCHED_S = 0.2              # of each number and kind of filters
TOPICS = 1000
HISTORY_MESSAGES = 2_000_000 # at --scale 1
SPARSE_MIB = 1024            # at --scale 1
SPARSE_SIZES = (1024, 16384) # bytes of a message: a topic is in every 4th block, or every 60th
SPARSE_MIN = 10              # messages of each topic, at any scale
SPARSE_FILTER = ',t.7.#'     # behind a feed's endpoint: one topic, and not t.70
KEEP_MIB = 512               # not below half of it at any scale: files grow in steps of 64 MiB
KEEP_SCALE_MIN = 0.5
KEEP_SIZE = 1024             # bytes of a message
KEEP_RATE = 100_000          # messages a second
KEEP_TURNOVER = 2            # so often all that is kept is replaced before the measuring
KEEP_SAMPLES = 10
SAMPLE_S = 0.2
KEEP_S = 300                 # longest wait for that
LOST_MAX = 0.001             # of the messages: not more is as good as none
PACES = (1.05, 0.85, 0.7, 0.55, 0.4)  # tried one by one, of the rate at full speed
CONNECT_S = 0.5              # until subscribers have connected
CASES = ['publish', 'feeds', 'filters', 'replay', 'sparse']
ONCE = ['matching', 'keep']


def addresses(count):
    return [f'tcp://127.0.0.1:{port}' for port in free_ports(count)]


def start_stream(case, name, ends, *more):
    '''A stream with these endpoints and further options; `more` may have feeds'''
    arguments = ['--store', case.store, '--settle', SETTLE_MS, *DEVICES[name], *ends, *more]
    device = case.start(case.options.zspool, 'stream', *arguments)
    case.wait_ready(device)
    return device


def window(options):
    return ['--warmup', options.warmup, '--seconds', options.seconds]


#  PUB and SUB

def publish(options, name, size, subscribers, pace=None):
    '''PUB -> middle -> SUB, at full speed or at so many messages a second'''
    hwm = hwm_for(options, size)
    with Case(options, 4 << 30) as case:
        into, out = addresses(2)
        if name == 'zmq_proxy':
            middle = case.start('bench_proxy', '--type', 'xsub', '--hwm', hwm, '@' + into,
                                '@' + out)
            case.wait_ready(middle)
        else:
            middle = start_stream(case, name, ['--in', into, '--out', out], '--hwm', hwm,
                                  '--keep-count', 0)
        consumers = [case.start('bench_pull', '--type', 'sub', '--hwm', hwm, *window(options),
                                '--stay', out) for _ in range(subscribers)]
        time.sleep(CONNECT_S)
        paced = ['--rate', pace] if pace else []
        producer = case.start('bench_push', '--type', 'pub', '--size', size, '--hwm', hwm, *paced,
                              into)
        results = [case.line(consumer) for consumer in consumers]
        cpu = cpu_seconds(middle)
        case.stop(producer)
        case.stop(middle, clean=name in DEVICES)
        rates = [result['rate'] for result in results]
        return {'rate': sum(rates) / subscribers, 'least_rate': min(rates),
                'lost': max(result['lost'] for result in results),
                'cpu_us': cpu * 1e6 / sum(result['total'] for result in results)}


def measure_publish(options, name, size, subscribers):
    '''The publisher waits where PUB would drop, so the middle and its subscribers set the pace.
    `lost` is the part that the middle dropped, the most of any subscriber. `lossless_rate`: what
    each gets when the publisher is slowed step by step until all get everything.'''
    result = publish(options, name, size, subscribers)
    paced = result
    paces = PACES[::2] if options.quick else PACES
    for share in paces if size == SMALL else ():
        if paced['lost'] <= LOST_MAX:
            break
        paced = publish(options, name, size, subscribers, result['rate'] * share)
    if paced['lost'] <= LOST_MAX:
        result['lossless_rate'] = paced['rate']
    return result


#  Feeds and filters

def measure_feeds(options, count):
    '''PUSH -> a device with so many feeds -> a PULL each; `rate` is that of all deliveries'''
    with Case(options, 4 << 30) as case:
        into, *outs = addresses(1 + count)
        feeds = []
        for index, out in enumerate(outs):
            feeds += ['--feed', f'feed{index}={out}']
        device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull'], '--keep-count', 0,
                              *feeds)
        consumers = [case.start('bench_pull', *window(options), '--stay', out) for out in outs]
        producer = case.start('bench_push', '--size', SMALL, into)
        results = [case.line(consumer) for consumer in consumers]
        cpu = cpu_seconds(device)
        case.stop(producer)
        case.stop(device, clean=True)
        return {'rate': sum(result['rate'] for result in results),
                'cpu_us': cpu * 1e6 / sum(result['total'] for result in results)}


def measure_filters(options, count):
    '''PUSH -> a device with one feed -> PULL, messages of 1000 topics in turn. The feed has a
    filter for each topic, or none: it gets all either way.'''
    with Case(options, 4 << 30) as case:
        into, out = addresses(2)
        filters = ''.join(f',t.{index}' for index in range(count))
        device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull'], '--keep-count', 0,
                              '--feed', f'feed={out}{filters}')
        consumer = case.start('bench_pull', '--topics', *window(options), out)
        producer = case.start('bench_push', '--size', SMALL, '--topics', TOPICS, into)
        result = case.finish(consumer)
        result['cpu_us'] = cpu_seconds(device) * 1e6 / result['total']
        case.stop(producer)
        case.stop(device, clean=True)
        return result


def measure_matching(options):
    '''Nanoseconds to match a message, by kind and number of filters'''
    with Case(options) as case:
        seconds = min(MATCHED_S, options.seconds)
        lines = case.results('bench_filter', '--seconds', seconds)
        return {f'{line["kind"]} {line["filters"]}': line['ns'] for line in lines}


#  History

def take(case, device, out, count):
    '''A consumer gets so many messages of a feed, and the device is stopped'''
    result = case.result('bench_pull', '--topics', '--shared', '--warmup', 0, '--reconnect', 1,
                         '--count', count, out)
    case.stop(device, clean=True)
    return result


def measure_replay(options):
    '''A history of 2 million messages, which a feed has been absent for: how fast `zspool replay`
    sends it, and how fast the feed gets it when it comes'''
    count = max(10_000, int(HISTORY_MESSAGES * options.scale))
    with Case(options, count * SMALL * 3) as case:
        into, out = addresses(2)
        ends = ['--in', into, '--in-type', 'pull', '--feed', f'absent={out}']
        device = start_stream(case, 'sync', ends)
        case.result('bench_push', '--size', SMALL, '--topics', TOPICS, '--count', count, into)
        case.stop(device, clean=True)
        replayed = addresses(1)[0]
        consumer = case.start('bench_pull', '--topics', '--warmup', 0, '--count', count,
                              '@' + replayed)
        case.start(case.options.zspool, 'replay', case.store, replayed)
        rate = case.finish(consumer)['rate']
        taken = take(case, start_stream(case, 'sync', ends), out, count)
        return {'messages': count, 'rate': rate, 'feed_rate': taken['rate']}


def measure_sparse(options, indexed, size):
    '''1 GiB of 1000 topics in turn, of which a new feed wants one: messages looked at a second.
    A queue does not index its blocks, so there all of them are read.'''
    count = max(SPARSE_MIN * TOPICS, int(SPARSE_MIB * 2 ** 20 * options.scale) // size)
    with Case(options, count * size * 2) as case:
        into, out = addresses(2)
        ends = ['--store', case.store, '--in', into, '--in-type', 'pull', '--out', out]
        device = case.start(options.zspool, 'stream' if indexed else 'queue', *ends,
                            '--out-type', 'pub' if indexed else 'push')
        case.wait_ready(device)
        case.result('bench_push', '--size', size, '--topics', TOPICS, '--count', count, into)
        case.stop(device, clean=True)
        into, out = addresses(2)
        device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull'],
                              '--feed', f'sparse={out}{SPARSE_FILTER}', '--start', 'all')
        wanted = count // TOPICS
        taken = take(case, device, out, wanted)
        return {'rate': taken['rate'] * TOPICS, 'messages': count, 'seconds': taken['seconds']}


#  Limits

def kept_messages(options):
    return int(KEEP_MIB * 2 ** 20 * max(options.scale, KEEP_SCALE_MIN)) // KEEP_SIZE


def measure_keep(options, limit):
    '''A stream that keeps so much, until that was replaced several times: the store's size against
    the bytes of the blocks that are in it'''
    count = kept_messages(options)
    with Case(options, count * KEEP_SIZE * 4) as case:
        into, out = addresses(2)
        most = {'keep-count': count, 'keep-bytes': count * KEEP_SIZE}[limit]
        device = start_stream(case, 'sync', ['--in', into, '--out', out], f'--{limit}', most)
        case.start('bench_push', '--type', 'pub', '--size', KEEP_SIZE, '--rate', KEEP_RATE, into)
        deadline, ratios, lives = time.monotonic() + KEEP_S, [], []
        while len(ratios) < KEEP_SAMPLES:
            if time.monotonic() > deadline:
                raise Failed(f'not all that is kept was replaced within {KEEP_S} s')
            time.sleep(SAMPLE_S)
            info = case.info()
            if not info['spools'] or info['spools'][0]['last_sequence'] < count * KEEP_TURNOVER:
                continue
            spool = info['spools'][0]
            size = max(info['file_bytes'], disk_bytes(case.store))
            ratios.append(size / max(1, spool['bytes']))
            lives.append(spool['bytes'] / 2 ** 20)
        case.stop(device, clean=True)
        return {'ratio': sorted(ratios)[len(ratios) // 2], 'most_ratio': max(ratios),
                'live_mib': sorted(lives)[len(lives) // 2], 'most_live_mib': max(lives),
                'size_mib': size / 2 ** 20}


#  The plan

def plan_streams(options, add):
    if 'publish' in options.cases:
        for subscribers in SUBSCRIBERS:
            for size in SIZES if subscribers == 1 else (SMALL,):
                for name in MIDDLES:
                    add(('publish', name, size, subscribers), measure_publish, name, size,
                        subscribers)
    if 'feeds' in options.cases:
        for count in (1, FEEDS):
            add(('feeds', count), measure_feeds, count)
    if 'filters' in options.cases:
        for count in FILTERS:
            add(('filters', count), measure_filters, count)
    if 'replay' in options.cases:
        add(('replay',), measure_replay)
    if 'sparse' in options.cases:
        for size in SPARSE_SIZES:
            for indexed in (True, False):
                add(('sparse', indexed, size), measure_sparse, indexed, size)


def plan_once(options, add):
    if 'matching' in options.cases:
        add(('matching',), measure_matching)
    if 'keep' in options.cases:
        for limit in ('keep-count', 'keep-bytes'):
            add(('keep', limit), measure_keep, limit)
