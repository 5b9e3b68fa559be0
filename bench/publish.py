#  publish.py - what is measured of streams: PUB and SUB, feeds, filters, replay
#
#  SPDX-License-Identifier: MPL-2.0
#
#  As cases.py: each measurement returns a dictionary of figures, and has a key.

import time

from rig import DEVICES, SETTLE_MS, Case, cpu_seconds, free_ports, hwm_for

MIDDLES = ['zmq_proxy', 'sync', 'async']
SUBSCRIBERS = (1, 5)
SIZES = (100, 1024, 16384)   # bytes of a message, with one subscriber; with more the first
SMALL = SIZES[0]
FEEDS = 10
FILTERS = (0, 1000)          # of a feed
TOPICS = 1000
HISTORY_MESSAGES = 2_000_000 # at --scale 1
CONNECT_S = 0.5              # until subscribers have connected
CASES = ['publish', 'feeds', 'filters', 'replay']


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


def measure_publish(options, name, size, subscribers):
    '''PUB -> middle -> SUB. The publisher waits where PUB would drop, so the middle and its
    subscribers set the pace; `lost` is the part that the middle dropped, the most of any subscriber.'''
    hwm = hwm_for(options, size)
    with Case(options, 4 << 30) as case:
        into, out = addresses(2)
        if name == 'zmq_proxy':
            middle = case.start('bench_proxy', '--type', 'xsub', '--hwm', hwm, '@' + into, '@' + out)
            case.wait_ready(middle)
        else:
            middle = start_stream(case, name, ['--in', into, '--out', out], '--hwm', hwm, '--keep-count', 0)
        consumers = [case.start('bench_pull', '--type', 'sub', '--hwm', hwm, *window(options), '--stay', out)
                     for _ in range(subscribers)]
        time.sleep(CONNECT_S)
        producer = case.start('bench_push', '--type', 'pub', '--size', size, '--hwm', hwm, into)
        results = [case.line(consumer) for consumer in consumers]
        cpu = cpu_seconds(middle)
        case.stop(producer)
        case.stop(middle, clean=name in DEVICES)
        rates = [result['rate'] for result in results]
        return {'rate': sum(rates) / subscribers, 'least_rate': min(rates),
                'lost': max(result['lost'] for result in results),
                'cpu_us': cpu * 1e6 / sum(result['total'] for result in results)}


def measure_feeds(options, count):
    '''PUSH -> a device with so many feeds -> a PULL each; `rate` is that of all deliveries'''
    with Case(options, 4 << 30) as case:
        into, *outs = addresses(1 + count)
        feeds = [word for index, out in enumerate(outs) for word in ('--feed', f'feed{index}={out}')]
        device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull', '--keep-count', 0], *feeds)
        consumers = [case.start('bench_pull', *window(options), '--stay', out) for out in outs]
        producer = case.start('bench_push', '--size', SMALL, into)
        results = [case.line(consumer) for consumer in consumers]
        cpu = cpu_seconds(device)
        case.stop(producer)
        case.stop(device, clean=True)
        return {'rate': sum(result['rate'] for result in results),
                'cpu_us': cpu * 1e6 / sum(result['total'] for result in results)}


def measure_filters(options, count):
    '''PUSH -> a device with one feed -> PULL, messages of 1000 topics in turn. The feed has a filter for
    each topic, or none: it gets all either way.'''
    with Case(options, 4 << 30) as case:
        into, out = addresses(2)
        filters = ''.join(f',t.{index}' for index in range(count))
        device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull', '--keep-count', 0],
                              '--feed', f'feed={out}{filters}')
        consumer = case.start('bench_pull', '--topics', *window(options), out)
        producer = case.start('bench_push', '--size', SMALL, '--topics', TOPICS, into)
        result = case.finish(consumer)
        result['cpu_us'] = cpu_seconds(device) * 1e6 / result['total']
        case.stop(producer)
        case.stop(device, clean=True)
        return result


def measure_replay(options):
    '''A history of 2 million messages that nobody has taken: how fast `zspool replay` sends it, a new feed
    gets it, and a new feed gets one topic in 1000 of it (then `sparse_rate` is of messages looked at)'''
    count = max(10_000, int(HISTORY_MESSAGES * options.scale))
    with Case(options, count * SMALL * 2) as case:
        into, out = addresses(2)
        device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull', '--out', out])
        case.result('bench_push', '--size', SMALL, '--topics', TOPICS, '--count', count, into)
        case.stop(device, clean=True)
        consumer = case.start('bench_pull', '--topics', '--warmup', 0, '--count', count, '@' + out)
        case.start(options.zspool, 'replay', case.store, out)
        result = {'messages': count, 'rate': case.finish(consumer)['rate']}
        for key, filters, expected in (('feed_rate', '', count), ('sparse_rate', ',t.7.#', count // TOPICS)):
            into, out = addresses(2)
            device = start_stream(case, 'sync', ['--in', into, '--in-type', 'pull'],
                                  '--feed', f'{key}={out}{filters}', '--feed-start', f'{key}=all')
            consumer = case.start('bench_pull', '--topics', '--shared', '--warmup', 0, '--reconnect', 1,
                                  '--count', expected, out)
            taken = case.finish(consumer)
            result[key] = taken['rate'] * count / expected
            case.stop(device, clean=True)
        return result


def plan_streams(options, add):
    if 'publish' in options.cases:
        for subscribers in SUBSCRIBERS:
            for size in SIZES if subscribers == 1 else (SMALL,):
                for name in MIDDLES:
                    add(('publish', name, size, subscribers), measure_publish, name, size, subscribers)
    if 'feeds' in options.cases:
        for count in (1, FEEDS):
            add(('feeds', count), measure_feeds, count)
    if 'filters' in options.cases:
        for count in FILTERS:
            add(('filters', count), measure_filters, count)
    if 'replay' in options.cases:
        add(('replay',), measure_replay)
