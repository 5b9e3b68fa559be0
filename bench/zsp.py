#  zsp.py - what is measured of a device's service: producers that know, consumers that acknowledge
#
#  SPDX-License-Identifier: MPL-2.0
#
#  As cases.py: each measurement returns a dictionary of figures, and has a key.

import shlex

from rig import Case, cpu_seconds, free_ports

STRATEGIES = ['sync', 'async', 'transaction']
SIZES = (100, 1024, 16384)   # bytes of a message
SMALL = SIZES[0]
TXN_MESSAGES = 1000          # of a transaction, under `transaction`; fewer if it had more than
TXN_BYTES_MAX = 4 << 20      # so many bytes
CLIENTS = (1, 10, 1000)      # producers, or consumers of one cursor
PREFETCH = {1: 10_000, 10: 10_000, 1000: 1_000}  # messages, of each consumer
TXN_SIZES = (1, 10, 100, 1000, 10_000)  # messages of a transaction
PUTS = {'unnamed': [], 'named': ['--name', 'bench']}
RESENT = 1_000_000           # at --scale 1
CASES = ['zsp', 'clients', 'transactions', 'dedupe', 'confirm']


def start_service(case, strategy='sync'):
    '''A device with nothing but a service'''
    address = f'tcp://127.0.0.1:{free_ports(1)[0]}'
    device = case.start(case.options.zspool, 'queue', '--store', case.store, '--service', address,
                        '--durability', strategy, *shlex.split(case.options.extra))
    case.wait_ready(device)
    return device, address


def pass_through(options, strategy, put=(), get=()):
    '''Producers -> device -> consumers: what comes is acknowledged, 1000 messages at a time'''
    with Case(options, 4 << 30) as case:
        device, address = start_service(case, strategy)
        producer = case.start('bench_put', '--name', 'bench', *put, address)
        result = case.result('bench_get', '--warmup', options.warmup, '--seconds', options.seconds,
                             *get, address, 'bench')
        result['cpu_us'] = cpu_seconds(device) * 1e6 / result['total']
        case.stop(producer)
        case.stop(device, clean=True)
        return result


def measure_zsp(options, strategy, size):
    put = ['--size', size]
    if strategy == 'transaction':
        put += ['--txn', min(TXN_MESSAGES, TXN_BYTES_MAX // size)]
    return pass_through(options, strategy, put)


def measure_producers(options, count):
    return pass_through(options, 'sync', ['--producers', count])


def measure_consumers(options, count):
    return pass_through(options, 'sync', (), ['--consumers', count, '--prefetch', PREFETCH[count]])


def put_only(options, *put):
    '''Messages a second that a producer puts, until all are confirmed; nobody consumes them'''
    with Case(options, 4 << 30) as case:
        device, address = start_service(case)
        result = case.result('bench_put', '--seconds', options.seconds, *put, address)
        result['rate'] = result['sent'] / result['seconds']
        result['cpu_us'] = cpu_seconds(device) * 1e6 / result['sent']
        case.stop(device, clean=True)
        return result


def measure_transactions(options, messages):
    return put_only(options, '--name', 'bench', '--txn', messages)


def measure_put(options, name):
    return put_only(options, *PUTS[name])


def measure_resend(options):
    '''What a named producer has put comes again, and is dropped: messages dropped a second'''
    count = max(10_000, int(RESENT * options.scale))
    with Case(options, 1 << 30) as case:
        device, address = start_service(case)
        result = case.result('bench_resend', '--count', count, '--seconds', options.seconds,
                             address)
        stored = case.info()['spools'][-1]['messages']
        case.stop(device, clean=True)
        return result | {'stored': stored}


def measure_confirm(options):
    '''One message after the other: from putting it until it is known to be stored'''
    with Case(options) as case:
        device, address = start_service(case)
        result = case.result('bench_put', '--one', '--seconds', options.latency_seconds, address)
        case.stop(device, clean=True)
        return result


#  The plan

def plan_size(options, add, size):
    for strategy in STRATEGIES if 'zsp' in options.cases and size in SIZES else ():
        add(('zsp', strategy, size), measure_zsp, strategy, size)


def plan_service(options, add):
    if 'confirm' in options.cases:
        add(('confirm',), measure_confirm)
    if 'clients' in options.cases:
        for count in CLIENTS:
            add(('producers', count), measure_producers, count)
        for count in CLIENTS:
            add(('consumers', count), measure_consumers, count)
    if 'transactions' in options.cases:
        for messages in TXN_SIZES:
            add(('transactions', messages), measure_transactions, messages)
    if 'dedupe' in options.cases:
        for name in PUTS:
            add(('put', name), measure_put, name)
        add(('resend',), measure_resend)
