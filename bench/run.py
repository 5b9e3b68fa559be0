#!/usr/bin/env python3
#  run.py - measures zspool against zmq_proxy in one interleaved run and prints one table
#
#  SPDX-License-Identifier: MPL-2.0
#
#  A round measures every case once, one after the other, each with fresh processes, fresh ports and
#  a fresh store; ratios are taken within a round, so that a machine that slows down slows both
#  sides. Medians, minima and maxima are over the rounds. Needs only Python's standard library.
#
#  The processes it started are stopped, and the stores removed, however it ends (but by SIGKILL).

import argparse, json, os, platform, select, shlex, shutil, signal, socket, statistics, subprocess
import sys, tempfile, time

DEVICES = {'sync': [], 'async': ['--durability', 'async'], 'explicit': ['--ack', 'explicit']}
STREAMS = ['direct', 'zmq_proxy', 'sync', 'async', 'explicit']
LATENCIES = ['zmq_proxy', 'sync', 'async']

#  The budgets of the design: least ratio to zmq_proxy by case and size, and the others
STREAM_BUDGETS = {('sync', 100): 1.0, ('sync', 1024): 0.9, ('sync', 16384): 0.8,
                  ('async', 100): 1.0, ('async', 1024): 1.0, ('async', 16384): 1.0,
                  ('explicit', 100): 0.8}
LATENCY_BUDGET = 1.3    # most LMDB commits that sync may add to zmq_proxy's p50
BACKLOG_BUDGET = 1.0    # least ratio of draining to the live rate
MEMORY_BUDGET_MIB = 64  # most anonymous memory of a device

SETTLE_MS = 500         # for short runs; --full uses the device's default
WARMUP_S = 1.2          # more than twice SETTLE_MS: from then on a store reuses its file
FULL_WARMUP_S = 11      # more than twice the default settle time, 5000 ms
BACKLOG_SIZE = 100      # bytes
DRAIN_WARMUP_S = 0.2    # before the rate of draining is taken
READY_S = 20            # longest wait for `ready`
STOP_S = 30             # longest wait for a process to stop
STORED_S = 120          # longest wait for a backlog to be stored
OTHERS_SHARE_MAX = 0.05  # most CPU that other work may take for figures to be trusted


class Failed(Exception):
    '''One measurement failed; the others go on'''


class Case:
    '''The processes and the store of one measurement; leaving the `with` stops and removes them'''

    def __init__(self, options):
        self.options = options
        self.processes = []
        self.directory = tempfile.mkdtemp(prefix='zspool-bench-', dir=options.dir)

    def __enter__(self):
        self.started = time.monotonic()
        self.others = foreign_cpu_seconds()
        return self

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        seconds = (time.monotonic() - self.started) * os.cpu_count()
        self.options.others.append((foreign_cpu_seconds() - self.others) / seconds)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.sync()  # what this store left to write back shall not disturb the next case

    def start(self, program, *arguments):
        if '/' not in program:
            program = os.path.join(self.options.programs, program)
        command = [program] + [str(argument) for argument in arguments]
        if self.options.verbose:
            print('+', shlex.join(command), file=sys.stderr)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   text=True)
        self.processes.append(process)
        return process

    def stop(self, process, clean=False):
        '''Stop a process with SIGTERM; if `clean`, it must exit with 0'''
        process.terminate()
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise Failed(f'{process.args[0]} did not stop within {STOP_S} s')
        if clean and status:
            raise Failed(f'{process.args[0]} exited with {status}')

    def result(self, program, *arguments):
        '''Run a program to its end and return the line of JSON that it printed'''
        process = self.start(program, *arguments)
        output, _ = process.communicate()
        if process.returncode:
            raise Failed(f'{program} exited with {process.returncode}')
        try:
            result = json.loads(output)
        except ValueError:
            raise Failed(f'{program} did not print JSON')
        if result.get('gaps') or result.get('repeats'):
            raise Failed(f'{result["gaps"]} messages missing, {result["repeats"]} repeated')
        return result

    def start_middle(self, name):
        '''Start the proxy or a device; returns the process and the addresses for clients'''
        addresses = [f'tcp://127.0.0.1:{port}' for port in free_ports(3)]
        if name == 'zmq_proxy':
            middle = self.start('bench_proxy', '@' + addresses[0], '@' + addresses[1])
        else:
            arguments = ['--store', self.directory + '/store', '--in', addresses[0],
                         '--out', addresses[1]] + DEVICES[name] + shlex.split(self.options.extra)
            if name == 'explicit':
                arguments += ['--ack-in', addresses[2]]
            elif not self.options.full:
                arguments += ['--settle', SETTLE_MS]
            middle = self.start(self.options.zspool, 'queue', *arguments)
        waited, _, _ = select.select([middle.stdout], [], [], READY_S)
        if not waited or middle.stdout.readline() != 'ready\n':
            raise Failed(f'{middle.args[0]} did not get ready')
        return middle, addresses


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(('127.0.0.1', 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def foreign_cpu_seconds():
    '''CPU time that all but this program and its ended children took since boot, or a host stole'''
    with open('/proc/stat') as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf('SC_CLK_TCK')  # idle, waiting for I/O
    return busy - sum(os.times()[:4])


def read_proc(process, name):
    if process.poll() is not None:
        raise Failed(f'{process.args[0]} ended by itself with {process.returncode}')
    with open(f'/proc/{process.pid}/{name}') as file:
        return file.read()


def cpu_seconds(process):
    '''User and system time of a running process, all threads'''
    fields = read_proc(process, 'stat').rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def anonymous_mib(process):
    lines = read_proc(process, 'status').splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith('RssAnon:'))


def measure_stream(options, name, size):
    '''Producer -> middle -> consumer; returns the consumer's result, and the middle's CPU time'''
    window = ['--warmup', options.warmup, '--seconds', options.seconds]
    with Case(options) as case:
        if name == 'direct':
            address = f'tcp://127.0.0.1:{free_ports(1)[0]}'
            case.start('bench_push', '--size', size, '@' + address)
            return case.result('bench_pull', *window, address)
        middle, addresses = case.start_middle(name)
        producer = case.start('bench_push', '--size', size, addresses[0])
        if name == 'explicit':
            window += ['--ack-to', addresses[2], '--batch', options.batch]
        result = case.result('bench_pull', *window, addresses[1])
        result['cpu_us'] = cpu_seconds(middle) * 1e6 / result['total']
        case.stop(producer)
        case.stop(middle, clean=name in DEVICES)
        return result


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


def measure_backlog(options):
    '''Store messages with no consumer there, then attach one: the rate at which it gets them'''
    with Case(options) as case:
        device, addresses = case.start_middle('sync')
        case.result('bench_push', '--size', BACKLOG_SIZE, '--count', options.backlog, addresses[0])
        deadline = time.monotonic() + STORED_S
        stored = 0
        while stored < options.backlog:
            if time.monotonic() > deadline:
                raise Failed(f'only {stored} of {options.backlog} messages were stored')
            time.sleep(0.2)
            info = case.result(options.zspool, 'info', case.directory + '/store', '--json')
            stored = info['spools'][0]['messages'] if info.get('spools') else 0
        memory_mib = anonymous_mib(device)
        result = case.result('bench_pull', '--warmup', DRAIN_WARMUP_S, '--count', options.backlog,
                             addresses[1])
        result['memory_mib'] = max(memory_mib, anonymous_mib(device))
        case.stop(device, clean=True)
        return result


def plan(options):
    '''The measurements of one round: pairs of a key and a function'''
    steps = []
    for size in options.sizes:
        for name in STREAMS:
            if name in options.cases:
                steps.append((('stream', name, size),
                              lambda name=name, size=size: measure_stream(options, name, size)))
        if size == BACKLOG_SIZE and 'backlog' in options.cases:
            steps.append((('backlog',), lambda: measure_backlog(options)))
    if 'latency' in options.cases:
        steps.append((('disk',), lambda: measure_disk(options)))
        for name in LATENCIES:
            if name == 'zmq_proxy' or options.zspool:
                steps.append((('latency', name), lambda name=name: measure_latency(options, name)))
    return steps


def run_rounds(options):
    '''Returns results by key, each a dictionary by round, and the failures as lines of text'''
    results, failures = {}, []
    steps = plan(options)
    started = time.monotonic()
    for number in range(1, options.rounds + 1):
        for key, measure in steps:
            label = f'round {number} of {options.rounds}: ' + ' '.join(str(part) for part in key)
            try:
                result = measure()
            except Failed as failure:
                failures.append(f'{label}: {failure}')
                print(failures[-1], file=sys.stderr)
                continue
            results.setdefault(key, {})[number] = result
            figures = ' '.join(f'{name}={value:.10g}' for name, value in result.items())
            print(f'{time.monotonic() - started:5.0f} s  {label}: {figures}', file=sys.stderr)
    return results, failures


#  The table

def spread(values, digits=0):
    '''Median, and minimum to maximum'''
    if not values:
        return '-', '-'
    return (f'{statistics.median(values):,.{digits}f}',
            f'{min(values):,.{digits}f} - {max(values):,.{digits}f}')


def verdict(ratios, least=None, most=None):
    '''The budget, and whether the median keeps to it'''
    if not ratios or (least is None and most is None):
        return '', ''
    median = statistics.median(ratios)
    if least is not None:
        return f'>= {least:.1f}', 'ok' if median >= least else 'MISSED'
    return f'<= {most:.1f}', 'ok' if median <= most else 'MISSED'


def ratios_of(results, key, base_key, figure='rate'):
    base = results.get(base_key, {})
    return [result[figure] / base[number][figure]
            for number, result in results.get(key, {}).items() if number in base]


def stream_rows(results, options):
    rows = []
    for size in options.sizes:
        for name in STREAMS:
            key = ('stream', name, size)
            if key not in results:
                continue
            runs = results[key].values()
            ratios = ratios_of(results, key, ('stream', 'zmq_proxy', size))
            rate = spread([run['rate'] for run in runs])
            megabytes = statistics.median(run['rate'] for run in runs) * size / 1e6
            cpu = [run['cpu_us'] for run in runs if 'cpu_us' in run]
            budget = verdict(ratios, STREAM_BUDGETS.get((name, size)))
            rows.append((f'{size} B', name, *rate, f'{megabytes:,.0f}', spread(cpu, 2)[0],
                         *spread(ratios, 3), *budget))
    return rows


def latency_rows(results):
    rows = []
    disk = results.get(('disk',), {})
    if disk:
        for label, figure in (('4 KiB fdatasync', 'raw'), ('4 KiB LMDB commit', 'lmdb')):
            p50 = [run[figure + '_p50_us'] for run in disk.values()]
            p99 = [run[figure + '_p99_us'] for run in disk.values()]
            rows.append(('disk', label, *spread(p50), spread(p99)[0]))
    proxy = results.get(('latency', 'zmq_proxy'), {})
    for name in LATENCIES:
        runs = results.get(('latency', name), {})
        if not runs:
            continue
        added = [(run['p50_us'] - proxy[number]['p50_us']) / disk[number]['lmdb_p50_us']
                 for number, run in runs.items()
                 if name in DEVICES and number in proxy and number in disk]
        rows.append(('100 B', name, *spread([run['p50_us'] for run in runs.values()]),
                     spread([run['p99_us'] for run in runs.values()])[0], *spread(added, 3),
                     *verdict(added, most=LATENCY_BUDGET if name == 'sync' else None)))
    return rows


def backlog_rows(results):
    runs = results.get(('backlog',), {})
    if not runs:
        return []
    ratios = ratios_of(results, ('backlog',), ('stream', 'sync', BACKLOG_SIZE))
    memory = [run['memory_mib'] for run in runs.values()]
    size = f'{BACKLOG_SIZE} B'
    rate = [run['rate'] for run in runs.values()]
    return [(size, 'drain, msg/s', *spread(rate), *spread(ratios, 3),
             *verdict(ratios, least=BACKLOG_BUDGET)),
            (size, 'memory, MiB', *spread(memory, 1), '', '',
             *verdict(memory, most=MEMORY_BUDGET_MIB))]


def print_table(title, header, rows):
    if not rows:
        return
    rows = [header] + [row + ('',) * (len(header) - len(row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    print(f'\n{title}')
    for row in rows:
        cells = [cell.ljust(width) if column < 2 or column == len(header) - 1 else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print('  ' + '  '.join(cells).rstrip())


def report(results, failures, options):
    print_table('Throughput at the consumer; CPU of the process in the middle',
                ('size', 'through', 'msg/s', 'min - max', 'MB/s', 'CPU us/msg', 'of zmq_proxy',
                 'min - max', 'budget', ''), stream_rows(results, options))
    print_table('One message at a time, send to receipt, us; what the device adds, in LMDB commits',
                ('size', 'through', 'p50', 'min - max', 'p99', 'added', 'min - max', 'budget', ''),
                latency_rows(results))
    print_table(f'Backlog of {options.backlog:,} messages in the store, then a consumer comes; '
                'anonymous memory of the device',
                ('size', 'sync', 'median', 'min - max', 'of live sync', 'min - max', 'budget', ''),
                backlog_rows(results))
    median, most = statistics.median(options.others), max(options.others)
    print(f'\nOther work took {median:.1%} of the CPU (median; at most {most:.1%})'
          + ('' if median <= OTHERS_SHARE_MAX else ': too much to trust these figures'))
    for failure in failures:
        print(f'FAILED {failure}')


#  Command line

def file_system(directory):
    '''Type of the file system that a directory is on'''
    path, best = os.path.realpath(directory) + '/', ('', 'unknown')
    with open('/proc/mounts') as file:
        for line in file:
            mount, kind = line.split()[1:3]
            if path.startswith(mount.rstrip('/') + '/') and len(mount) >= len(best[0]):
                best = (mount, kind)
    return best[1]


def find_programs():
    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.path.abspath('bench'), os.getcwd(), here]
    return next((place for place in places if os.path.exists(place + '/bench_push')), here)


def find_zspool(programs):
    places = [os.path.join(programs, '..', 'zspool'), './zspool']
    found = next((place for place in places if os.access(place, os.X_OK)), shutil.which('zspool'))
    return found and os.path.abspath(found)


def parse():
    parser = argparse.ArgumentParser(prog='run.sh', description='Measure zspool against zmq_proxy.')
    add = parser.add_argument
    cases = STREAMS + ['latency', 'backlog']
    add('--zspool', metavar='PATH', help='the command (default: the built one, or the one in PATH)')
    add('--programs', metavar='DIR', help='where bench_push and the others were built')
    add('--dir', default='.',
        help='where stores go: a real disk, 5 GB free, 20 with --full (default: .)')
    add('--rounds', type=int, metavar='N', help='default 5')
    add('--quick', action='store_true', help='one round, shorter: a first look, under a minute')
    add('--full', action='store_true',
        help=f'the default settle time and {FULL_WARMUP_S} s of warm-up, about 25 minutes')
    add('--warmup', type=float, metavar='S', help='before each measurement of throughput')
    add('--seconds', type=float, metavar='S', help='of each measurement of throughput')
    add('--sizes', default='100,1024,16384', help='of messages, bytes (default: 100,1024,16384)')
    add('--cases', default=','.join(cases), help='any of ' + ','.join(cases))
    add('--batch', type=int, default=500, metavar='N',
        help='tickets acknowledged at a time (default: 500)')
    add('--backlog', type=int, metavar='N',
        help='messages to store before draining (default: 2 million)')
    add('--extra', default='', metavar='OPTIONS', help='more options for every device')
    add('--verbose', action='store_true', help='print every command')
    options = parser.parse_args()
    options.sizes = [int(size) for size in options.sizes.split(',')]
    options.cases = options.cases.split(',')
    for case in options.cases:
        if case not in cases:
            parser.error(f"no such case: '{case}'")
    if options.full and options.quick:
        parser.error('--full or --quick, not both')
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.warmup = options.warmup or (FULL_WARMUP_S if options.full else WARMUP_S)
    options.seconds = options.seconds or (4 if options.full else 1 if options.quick else 1.5)
    options.backlog = options.backlog or (1000000 if options.quick else 2000000)
    options.latency_seconds = 3 if options.full else 1
    options.others = []  # share of the CPU that other work took, by measurement
    return options


def prepare(options):
    '''Find what is to be measured; returns a line of text when that fails'''
    options.programs = os.path.abspath(options.programs or find_programs())
    if not os.access(options.programs + '/bench_push', os.X_OK):
        return f'no bench_push in {options.programs}: build the programs first, or give --programs'
    if options.zspool and not os.access(options.zspool, os.X_OK):
        return f'{options.zspool}: no such program'
    options.zspool = options.zspool or find_zspool(options.programs)
    if options.zspool:
        options.zspool = os.path.abspath(options.zspool)
    else:
        print('no zspool command found: measuring without it', file=sys.stderr)
        options.cases = [case for case in options.cases
                         if case not in DEVICES and case != 'backlog']
    if not os.access(options.dir, os.W_OK):
        return f'{options.dir}: cannot write there'
    if file_system(options.dir) in ('tmpfs', 'ramfs'):
        return f'{options.dir} is in memory: give --dir on a real disk'
    return None


def describe(options):
    settle = 'its default' if options.full else f'{SETTLE_MS} ms'
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2 ** 30
    print(f'{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, '
          f'{file_system(options.dir)}; load before: {os.getloadavg()[0]:.2f}')
    print(f'{options.rounds} rounds; warm-up {options.warmup:g} s, window {options.seconds:g} s; '
          f'HWM 1000; settle {settle}; tickets {options.batch} at a time'
          + (f'; {options.extra}' if options.extra else ''))
    sys.stdout.flush()


def main():
    options = parse()
    problem = prepare(options)
    if problem:
        print(f'run.sh: {problem}', file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    describe(options)
    try:
        results, failures = run_rounds(options)
    except KeyboardInterrupt:
        return 130
    report(results, failures, options)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
