#  rig.py - what measurements stand on: processes, stores, /proc, the machine's description
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Whatever a Case started is killed, and its store removed, when its `with` is left, also by a
#  signal. Should this program be killed itself, the kernel kills its processes, and the next run
#  removes its stores.

import ctypes, json, os, platform, re, select, shlex, shutil, signal, socket, subprocess, sys
import tempfile, time

DEVICES = {'sync': [], 'async': ['--durability', 'async'], 'explicit': ['--ack', 'explicit']}

SETTLE_MS = 500    # for short runs; --full uses the device's default
READY_S = 30       # longest wait for `ready`
STOP_S = 30        # longest wait for a process to stop
RESULT_S = 600     # longest wait for a program's result
HWM = 1000         # messages, of every socket
QUEUE_BYTES_MAX = 64 << 20  # a queue of larger messages holds so much: fewer than HWM messages
SPARE_BYTES = 1 << 30       # of the disk, to be left free
PREFIX = 'zspool-bench-'    # of directories, then the number of the process they belong to
LIBRARIES = {'libzmq': ('libzmq.so.5', 'zmq_version'), 'czmq': ('libczmq.so.4', 'zsys_version'),
             'lmdb': ('liblmdb.so.0', 'mdb_version')}
PR_SET_PDEATHSIG = 1        # prctl(): which signal a process gets when its parent has died

libc = ctypes.CDLL(None)


class Failed(Exception):
    '''One measurement failed; the others go on'''


class Skipped(Failed):
    '''One measurement cannot be made on this machine'''


class Case:
    '''The processes and the store of one measurement; leaving the `with` stops and removes them'''

    def __init__(self, options, disk_bytes=0):
        free = shutil.disk_usage(options.dir).free
        if free < disk_bytes + SPARE_BYTES:
            raise Skipped(f'needs {(disk_bytes + SPARE_BYTES) / 1e9:.1f} GB of disk, '
                          f'{free / 1e9:.1f} GB are free')
        self.options = options
        self.processes = []
        self.directory = tempfile.mkdtemp(prefix=f'{PREFIX}{os.getpid()}-', dir=options.dir)
        self.store = self.directory + '/store'

    def __enter__(self):
        self.started = time.monotonic()
        self.others = foreign_cpu_seconds()
        return self

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
            process.stdout.close()
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
                                   text=True, preexec_fn=die_with_parent)
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

    def finish(self, process):
        '''Wait for a program's end and return the object of JSON that it printed'''
        name = os.path.basename(process.args[0])
        try:
            output, _ = process.communicate(timeout=RESULT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f'{name} did not end within {RESULT_S} s')
        if process.returncode:
            raise Failed(f'{name} exited with {process.returncode}')
        return self.check(name, output)

    def line(self, process):
        '''The same for a program that prints its result and stays'''
        name = os.path.basename(process.args[0])
        waited, _, _ = select.select([process.stdout], [], [], RESULT_S)
        output = process.stdout.readline() if waited else None
        if not output:
            raise Failed(f'{name} ended without a result' if waited
                         else f'{name} had no result within {RESULT_S} s')
        return self.check(name, output)

    def check(self, name, output):
        try:
            result = json.loads(output)
        except ValueError:
            raise Failed(f'{name} did not print JSON')
        if result.get('gaps') or result.get('repeats'):
            raise Failed(f'{result["gaps"]} messages missing, {result["repeats"]} repeated')
        return result

    def result(self, program, *arguments):
        return self.finish(self.start(program, *arguments))

    def results(self, program, *arguments):
        '''The same for a program that prints several objects, one a line'''
        process = self.start(program, *arguments)
        output, _ = process.communicate(timeout=RESULT_S)
        if process.returncode or not output:
            raise Failed(f'{program} exited with {process.returncode}')
        return [self.check(program, line) for line in output.splitlines()]

    def info(self):
        '''What `zspool info` says of the store, which a device may be using'''
        return self.result(self.options.zspool, 'info', self.store, '--json')

    def fill(self, size, count):
        '''Make a store with so many messages'''
        return self.result('bench_store', 'fill', '--size', size, '--count', count, self.store)

    def start_device(self, name, addresses, *more):
        arguments = ['--store', self.store, '--in', addresses[0], '--out', addresses[1]]
        arguments += DEVICES[name] + [str(each) for each in more] + shlex.split(self.options.extra)
        if name == 'explicit':
            arguments += ['--ack-in', addresses[2]]
        return self.start(self.options.zspool, 'queue', *arguments)

    def wait_ready(self, process):
        waited, _, _ = select.select([process.stdout], [], [], READY_S)
        if not waited or process.stdout.readline() != 'ready\n':
            raise Failed(f'{process.args[0]} did not get ready')

    def start_middle(self, name, hwm=HWM):
        '''Start the proxy or a device; returns the process and the addresses for clients'''
        addresses = [f'tcp://127.0.0.1:{port}' for port in free_ports(3)]
        if name == 'zmq_proxy':
            middle = self.start('bench_proxy', '--hwm', hwm, '@' + addresses[0], '@' + addresses[1])
        else:
            settle = [] if self.options.full or name == 'explicit' else ['--settle', SETTLE_MS]
            middle = self.start_device(name, addresses, '--hwm', hwm, *settle)
        self.wait_ready(middle)
        return middle, addresses


def die_with_parent():
    '''Runs in the child before its program does'''
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hwm_for(options, size):
    '''High-water mark of every socket for messages of this size'''
    return options.hwm or max(1, min(HWM, QUEUE_BYTES_MAX // size))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(('127.0.0.1', 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def remove_stores(directory, own=False):
    '''Remove what runs that were killed have left; and, if `own`, what this run has'''
    for name in os.listdir(directory):
        match = re.fullmatch(PREFIX + r'(\d+)-\w+', name)
        if not match:
            continue
        process = int(match.group(1))
        if own if process == os.getpid() else not os.path.exists(f'/proc/{process}'):
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)


#  /proc

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


def disk_bytes(directory):
    '''What the files of a directory take on the disk, what is reserved for them included'''
    return sum(os.stat(entry.path).st_blocks * 512 for entry in os.scandir(directory))


def drop_caches():
    '''Make the kernel forget what it has read from disks; False when that is not allowed'''
    os.sync()
    try:
        with open('/proc/sys/vm/drop_caches', 'w') as file:
            file.write('3\n')
    except OSError:
        return False
    return True


#  The machine

def file_system(directory):
    '''Type of the file system that a directory is on'''
    path, best = os.path.realpath(directory) + '/', ('', 'unknown')
    with open('/proc/mounts') as file:
        for line in file:
            mount, kind = line.split()[1:3]
            if path.startswith(mount.rstrip('/') + '/') and len(mount) >= len(best[0]):
                best = (mount, kind)
    return best[1]


def processor():
    with open('/proc/cpuinfo') as file:
        for line in file:
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.machine()


def library_versions():
    versions = {}
    for name, (file, function) in LIBRARIES.items():
        numbers = [ctypes.c_int() for _ in range(3)]
        try:
            getattr(ctypes.CDLL(file), function)(*(ctypes.byref(number) for number in numbers))
            versions[name] = '.'.join(str(number.value) for number in numbers)
        except (OSError, AttributeError):
            versions[name] = 'unknown'
    return versions


def revision():
    '''Of the working tree that this file lies in'''
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        return subprocess.run(['git', '-C', here, 'describe', '--always', '--dirty'], text=True,
                              capture_output=True).stdout.strip() or 'unknown'
    except OSError:
        return 'unknown'


def machine(options):
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2 ** 30
    return {'processor': processor(), 'cores': os.cpu_count(), 'memory_gib': round(memory, 1),
            'kernel': platform.release(), 'file_system': file_system(options.dir),
            'free_gb': round(shutil.disk_usage(options.dir).free / 1e9, 1),
            'load_before': os.getloadavg()[0], 'revision': revision(), **library_versions()}
