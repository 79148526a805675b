# SPDX-License-Identifier: Apache-2.0
"""Clusters of real agents on hosts of their own, and programs that use them."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

from kinds import NATIVE, Kind
from network import Failure, Network, start, wait_for

# Signals belong to the program also where it is built with a sanitizer: faults are what is tested.
ENVIRONMENT = {
    'PATH': os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin'),
    # With DSM_FAULTS=sigsegv every test runs on that back end.
    **{name: os.environ[name] for name in ('DSM_FAULTS',) if name in os.environ},
    'ASAN_OPTIONS': 'handle_segv=0:handle_sigbus=0:detect_leaks=1:abort_on_error=0:exitcode=99',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1:exitcode=99',
    'TSAN_OPTIONS': 'handle_segv=0:handle_sigbus=0:die_after_fork=0:halt_on_error=1:exitcode=99:'
                    'second_deadlock_stack=1:suppressions='
                    + os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                   'tsan.supp'),
}
SANITIZER_WORDS = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:')


class ToolError(Failure):
    """A command of e2e-tool gave an error."""

    def __init__(self, command, name, text):
        super().__init__(f'{command}: {name} {text}')
        self.name, self.text = name, text


class ToolDied(Failure):
    """e2e-tool ended."""

    def __init__(self, command, status, stderr):
        super().__init__(f'{command}: the program ended with {status}; it said: {stderr}')
        self.status, self.stderr = status, stderr


class Tool:
    """A program of the service (tests/e2e/tool.c) on a host."""

    def __init__(self, host, uid=None, gid=None, connect=True, environment=None):
        self.host = host
        self.errors = tempfile.TemporaryFile(mode='w+')
        self.last = ''
        self.process = start(host.kind.command('tests/e2e-tool'), host.namespace, uid, gid,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                             env={**ENVIRONMENT, **(environment or {})}, bufsize=0)
        self.rest = b''
        if connect:
            self.do(f'connect {host.socket}')

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def send(self, command):
        """Give a command without waiting for its answer."""
        self.last = command
        try:
            self.process.stdin.write(command.encode() + b'\n')
        except BrokenPipeError:
            pass

    def has_answer(self):
        return b'\n' in self.rest or bool(select.select([self.process.stdout], [], [], 0)[0])

    def answer(self, seconds=60):
        """Wait for an answer; returns its text."""
        deadline = time.monotonic() + seconds
        while b'\n' not in self.rest:
            if not select.select([self.process.stdout], [], [],
                                 max(0, deadline - time.monotonic()))[0]:
                raise Failure(f'{self.host.name}: {self.last}: no answer in {seconds} s')
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise ToolDied(self.last, self.process.wait(), self.stderr())
            self.rest += data
        line, self.rest = self.rest.split(b'\n', 1)
        word, _, text = line.decode(errors='replace').partition(' ')
        if word != 'ok':
            name, _, text = text.partition(' ')
            raise ToolError(self.last, name, text)
        return text

    def do(self, command, seconds=60):
        self.send(command)
        return self.answer(seconds)

    def fails(self, command, name, *words):
        """The command must give this error, and its sentence must hold these words."""
        try:
            text = self.do(command)
        except ToolError as error:
            if error.name != name:
                raise Failure(f'{command}: expected {name}, got {error}') from error
            for word in words:
                if str(word).lower() not in error.text.lower():
                    raise Failure(f'{command}: "{error.text}" does not name {word}') from error
            return error.text
        raise Failure(f'{command}: expected {name}, got "{text}"')

    def dies(self, command, seconds=60):
        """The command must end the program by a signal; returns the signal and what it said."""
        try:
            text = self.do(command, seconds)
        except ToolDied as death:
            if death.status >= 0:
                raise Failure(f'{command}: exit status {death.status}: {death.stderr}') from death
            return -death.status, death.stderr
        raise Failure(f'{command}: the program should have died, but answers "{text}"')

    def open(self, name, size=None, flags='wc', mode='0600', options='', slot=0, protection='w'):
        """Open a region, set its size if given, and map all of it into the same slot."""
        self.do(f'open {slot} {name} {flags} {mode} {options}')
        if size is not None:
            self.do(f'truncate {slot} {size}')
        else:
            size = int(self.do(f'stat {slot}').split()[0])
        self.do(f'map {slot} {slot} 0 {size} {protection}')
        return self

    def is_alive(self):
        return self.process.poll() is None

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()

    def close(self):
        """End the program in good order; returns its status."""
        if self in self.host.tools:
            self.host.tools.remove(self)
        self.process.stdin.close()
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        errors = self.stderr()
        self.errors.close()
        if SANITIZER_WORDS.search(errors):
            raise Failure(f'{self.host.name}: a program: {errors}')
        return status


class Host:
    """A host with its directories and its agent."""

    def __init__(self, cluster, name, kind):
        self.cluster, self.name, self.kind = cluster, name, kind
        self.namespace, self.address = cluster.network.add()
        self.directory = f'{cluster.directory}/{name}'
        self.run = f'{cluster.directory}/run-{name}'
        self.config = f'{self.directory}/agent.ini'
        self.socket = f'{self.run}/agent.sock'
        self.log_path = f'{cluster.directory}/{name}.log'
        self.agent = None
        self.tools = []
        os.mkdir(self.run, 0o755)

    def make_files(self, first):
        """The certificate and configuration that dsmctl makes."""
        common = ['--address', f'{self.address}:7400', '--socket', self.socket,
                  '--state-dir', self.directory]
        if first is self:
            self.ctl('init', self.directory, '--name', self.name, *common, session=False)
        else:
            self.ctl('node', 'add', self.name, '--config', first.directory, '--out',
                     self.directory, *common, session=False)

    def start_agent(self, *flags, environment=None, config=None):
        with open(self.log_path, 'a', encoding='utf-8') as log:
            self.agent = start([*self.kind.command('agent/dsm-agent'), '--config',
                                config or self.config, *flags], self.namespace, stdout=log,
                               stderr=log, env={**ENVIRONMENT, **(environment or {})})

    def wait_ready(self, seconds=20):
        """Until the agent is a member and its catalog answers: the open of a stranger says so."""
        def ready():
            if self.agent.poll() is not None:
                raise Failure(f'{self.name}: the agent ended with {self.agent.returncode}: '
                              + self.log())
            if not os.path.exists(self.socket):
                return False
            tool = Tool(self, connect=False)
            try:
                tool.do(f'connect {self.socket}')
                tool.fails('open 0 /no-such-region r 0', 'DSM_ENOENT')
                return True
            except ToolError:
                return False
            except Failure as failure:
                return 'DSM_EKEEPER' not in str(failure) and 'DSM_ETIMEDOUT' not in str(failure)
            finally:
                tool.close()

        wait_for(ready, f'{self.name}: the agent is ready', seconds)

    def end_agent(self, number=signal.SIGTERM, seconds=20):
        """Signal the agent and wait for its end; returns its status."""
        self.agent.send_signal(number)
        try:
            return self.agent.wait(seconds)
        except subprocess.TimeoutExpired as late:
            self.agent.kill()
            self.agent.wait()
            raise Failure(f'{self.name}: the agent does not end: {self.log()}') from late

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as file:
            return file.read()

    def wait_log(self, pattern, what, seconds=20, after=0):
        """Until the agent's log has a line that matches; returns the match."""
        return wait_for(lambda: re.search(pattern, self.log()[after:]), what, seconds)

    def tool(self, uid=None, gid=None, connect=True, environment=None):
        tool = Tool(self, uid, gid, connect, environment)
        self.tools.append(tool)
        return tool

    def ctl(self, *words, session=True, status=0):
        """Run dsmctl against this host's agent; returns what it prints. status None: any."""
        argv = [*self.kind.command('agent/dsmctl'), *words]
        if session:
            argv += ['--socket', self.socket]
        process = start(argv, self.namespace, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        env=ENVIRONMENT, text=True)
        out, errors = process.communicate(timeout=60)
        if status is not None and process.returncode != status:
            raise Failure(f'dsmctl {" ".join(map(str, words))}: exit status '
                          f'{process.returncode}: {out}{errors}')
        return out + errors if status else out

    def ctl_json(self, *words):
        return json.loads(self.ctl(*words, '--json'))

    def stats(self, counter):
        """A counter of this host's agent."""
        tool = Tool(self)
        try:
            return int(tool.do(f'stats {counter}'))
        finally:
            tool.close()

    def close_tools(self):
        for tool in list(self.tools):
            tool.process.kill()
            tool.process.wait()
            tool.close()


class Cluster:
    """Hosts named a, b, c, ... The first one keeps the catalog.

    kinds: what each host is (kinds.py), a name for each; foreign: where the builds for them are."""

    def __init__(self, build, hosts=3, flags=(), flags_of=None, start_all=True, scale=1.0,
                 kinds=None, foreign=None):
        self.build, self.scale = build, scale
        self.kinds = [Kind(name, build, foreign) for name in kinds or [NATIVE] * hosts]
        self.directory = tempfile.mkdtemp(prefix='dsm-e2e-')
        os.chmod(self.directory, 0o755)
        self.flags, self.flags_of = list(flags), flags_of or {}
        self.network = None
        self.hosts = []
        self.count_names = 0
        try:
            self.network = Network()
            for number, kind in enumerate(self.kinds):
                self.add_host(chr(ord('a') + number), kind)
            if start_all:
                for host in self.hosts:
                    self.start(host)
                for host in self.hosts:
                    host.wait_ready()
                self.wait_linked()
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name):
        for host in self.__dict__.get('hosts', []):
            if host.name == name:
                return host
        raise AttributeError(name)

    def add_host(self, name, kind=None):
        host = Host(self, name, kind or self.kinds[0])
        self.hosts.append(host)
        host.make_files(self.hosts[0])
        return host

    def start(self, host, *flags, **options):
        host.start_agent(*self.flags, *self.flags_of.get(host.name, []), *flags, **options)

    def wait_linked(self):
        """Until each agent has a link to each other one."""
        def linked():
            for host in self.hosts:
                nodes = host.ctl_json('nodes')
                up = [node for node in find_list(nodes, 'nodes')
                      if node.get('alive', True) and node.get('link') in ('up', 'self', True)]
                if len(up) < len(self.hosts):
                    return False
            return True

        wait_for(linked, 'all agents are linked')

    def name(self, word='region'):
        """A name that no other test uses."""
        self.count_names += 1
        return f'/{word}-{self.count_names}'

    def scaled(self, count):
        """How often to do what would be done so often at scale 1."""
        return max(1, int(count * self.scale))

    def tools(self, each=1):
        """Programs on each host."""
        return [host.tool() for host in self.hosts for _ in range(each)]

    def logs(self):
        return ''.join(f'--- log of {host.name}\n{host.log()}' for host in self.hosts
                       if os.path.exists(host.log_path))

    def check(self):
        """All agents that should run do, and no sanitizer has complained."""
        for host in self.hosts:
            if host.agent and host.agent.poll() is not None:
                raise Failure(f'{host.name}: the agent has ended with {host.agent.returncode}: '
                              + host.log()[-4000:])
            if os.path.exists(host.log_path) and SANITIZER_WORDS.search(host.log()):
                raise Failure(f'{host.name}: {host.log()[-6000:]}')

    def close(self):
        """Take everything down; a clean end of the agents is part of every test."""
        wrong = []
        for host in self.hosts:
            host.close_tools()
        for host in reversed(self.hosts):
            if host.agent and host.agent.poll() is None:
                try:
                    status = host.end_agent()
                    # One that has not said a word yet has no signal handler yet.
                    if status != 0 and host.log():
                        wrong.append(f'{host.name}: the agent ended with {status}: '
                                     + host.log()[-4000:])
                except Failure as failure:
                    wrong.append(str(failure))
        if self.network:
            self.network.close()
        logs = self.logs()
        shutil.rmtree(self.directory, ignore_errors=True)
        if SANITIZER_WORDS.search(logs):
            wrong.append(logs)
        if wrong:
            raise Failure('; '.join(wrong))


def system_calls_touch_regions(function):
    """Mark a test whose programs give absent pages to system calls: run.py skips it on a back end
    where those get EFAULT, as dsm.h says."""
    function.why_not_sigsegv = 'system calls on absent pages give EFAULT with DSM_FAULTS=sigsegv'
    return function


def weighs_memory(function):
    """Mark a test that looks at how much memory an agent takes: run.py skips it where the build has
    a sanitizer."""
    function.why_not_sanitized = "a sanitizer's allocator keeps what was freed"
    return function


def find_list(document, key):
    """A list in a JSON document: the document itself, or its member."""
    return document if isinstance(document, list) else document.get(key, [])


def same(left, right, what=''):
    if left != right:
        raise Failure(f'{what}: {left!r} is not {right!r}')


def true(condition, what):
    if not condition:
        raise Failure(what)
