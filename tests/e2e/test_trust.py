# SPDX-License-Identifier: Apache-2.0
"""Who may not: strangers, wrong and expired certificates, other users, other versions."""

import os
import socket
import ssl
import subprocess

from cluster import ENVIRONMENT, same, true
from network import start, wait_for

PAGE = 4096


def work(cluster):
    """A check that programs on all hosts work; returns a function that looks again."""
    name = cluster.name('work')
    tools = cluster.tools()
    tools[0].open(name, 16 * PAGE)
    for tool in tools[1:]:
        tool.open(name, flags='w')

    def again(turn):
        tools[turn % 3].do(f'fill 0 0 {16 * PAGE} {turn}')
        for tool in tools:
            same(tool.do(f'check 0 0 {16 * PAGE} {turn}'), '0', f'work, turn {turn}')

    again(0)
    return again


def openssl(*words):
    subprocess.run(['openssl', *words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def issue(directory, name, ca_directory, days):
    """A key and a certificate of that name by the authority in ca_directory."""
    key, request = f'{directory}/{name}.key', f'{directory}/{name}.csr'
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
            key, '-out', request, '-subj', f'/CN={name}')
    openssl('x509', '-req', '-in', request, '-CA', f'{ca_directory}/ca.crt', '-CAkey',
            f'{ca_directory}/ca.key', '-CAcreateserial', '-days', str(days), '-out',
            f'{directory}/{name}.crt')
    return f'{directory}/{name}.crt', key


def stranger(cluster, name):
    """A host on the network whose agent does not run; it goes with the test."""
    directory = f'{cluster.directory}/{name}'
    os.makedirs(directory, exist_ok=True)
    return directory


def test_certificate_of_another_authority_is_refused(fresh):
    """A node of another cluster cannot join; both sides' logs say why; nobody else notices."""
    cluster = fresh()
    again = work(cluster)
    other = f'{cluster.directory}/other'
    cluster.a.ctl('init', other, '--name', 'mallory', session=False)
    outsider = cluster.hosts[2]
    with open(cluster.a.log_path, encoding='utf-8') as file:
        before = len(file.read())
    log_path = f'{cluster.directory}/mallory.log'
    with open(log_path, 'w', encoding='utf-8') as log:
        agent = start([cluster.build + '/agent/dsm-agent', '--config', f'{other}/agent.ini',
                       '--listen', f'{outsider.address}:7500', '--advertise',
                       f'{outsider.address}:7500', '--keeper', f'{cluster.a.address}:7400',
                       '--state-dir', other, '--socket', f'{other}/agent.sock'],
                      outsider.namespace, stdout=log, stderr=log, env=ENVIRONMENT)
    try:
        cluster.a.wait_log('certificate', 'the agent that was called names the certificate',
                           after=before)

        def told():
            with open(log_path, encoding='utf-8') as file:
                return 'certificate' in file.read().lower()

        wait_for(told, 'the stranger is told')
        again(1)
        same(sorted(node['name'] for node in cluster.a.ctl_json('nodes')['nodes']),
             ['a', 'b', 'c'], 'the nodes')
    finally:
        agent.kill()
        agent.wait()


def test_expired_certificate_is_refused(fresh):
    """Its own agent does not start with it, and no other agent takes it."""
    cluster = fresh(hosts=2)
    directory = stranger(cluster, 'old')
    certificate, key = issue(directory, 'old', cluster.a.directory, -1)
    agent = start([cluster.build + '/agent/dsm-agent', '--config', cluster.b.config,
                   '--node', 'old', '--certificate', certificate, '--key', key,
                   '--listen', '127.0.0.1:7600', '--state-dir', directory, '--socket',
                   f'{directory}/agent.sock'], cluster.b.namespace, stdout=subprocess.PIPE,
                  stderr=subprocess.STDOUT, env=ENVIRONMENT, text=True)
    said, _ = agent.communicate(timeout=20)
    true(agent.returncode != 0, 'the agent does not start')
    true('old.crt' in said and 'expired' in said, f'the message names file and reason: {said}')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(f'{cluster.a.directory}/ca.crt')
    context.load_cert_chain(certificate, key)
    with cluster.b.namespace.entered():
        with socket.create_connection((cluster.a.address, 7400), timeout=20) as plain:
            try:
                with context.wrap_socket(plain) as link:
                    heard = link.recv(4096)
                true(heard == b'', f'the agent hangs up, not {heard!r}')
            except (ssl.SSLError, ConnectionError):
                pass
    cluster.a.wait_log('expired', 'the log says that it has expired')


def test_nonsense_over_tcp_disturbs_nobody(cluster):
    """Bytes of all sorts, half handshakes and many idle connections, while the others work."""
    again = work(cluster)
    junk = [b'GET / HTTP/1.0\r\n\r\n', b'\x16\x03\x01\xff\xff' + b'\0' * 4000, os.urandom(20000),
            b'\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03', b'\0' * 8, b'']
    with cluster.c.namespace.entered():
        idle = [socket.create_connection((cluster.a.address, 7400), timeout=10)
                for _ in range(30)]
        for turn, text in enumerate(junk * 3):
            with socket.create_connection((cluster.a.address, 7400), timeout=10) as link:
                try:
                    link.sendall(text)
                    if text:
                        link.shutdown(socket.SHUT_WR)
                        link.settimeout(10)
                        while link.recv(4096):
                            pass
                except ConnectionError:
                    pass
            again(turn + 1)
    for link in idle:
        link.close()
    again(99)
    true(len(cluster.a.log()) < 200000, 'the log stays readable')


def test_peer_of_another_version_is_told(fresh):
    """A peer of another protocol version, and nonsense inside TLS."""
    cluster = fresh()
    again = work(cluster)
    directory = cluster.c.directory

    def peer(*words):
        process = start([cluster.build + '/tests/e2e-peer', cluster.a.address, '7400',
                         f'{directory}/ca.crt', f'{directory}/node.crt', f'{directory}/node.key',
                         *words], cluster.c.namespace, stdout=subprocess.PIPE, env=ENVIRONMENT,
                        text=True)
        said, _ = process.communicate(timeout=30)
        same(process.returncode, 0, said)
        return said

    said = peer('hello', '99')
    true(said.startswith('bye DSM_EVERSION') and '99' in said, f'the peer is told: {said}')
    cluster.a.wait_log('99', 'the log names the version')
    said = peer('bytes', 'ffffffff')
    true(not said.startswith('silent'), f'nonsense inside TLS ends the link: {said}')
    said = peer('bytes', '9340ce7fffffff01')
    true(not said.startswith('silent'), f'nonsense inside TLS ends the link: {said}')
    again(1)


def test_programs_that_lie_to_their_agent(cluster):
    """Handles that are not theirs, another version, and bytes that are no packet."""
    again = work(cluster)

    def session(*words):
        process = start([cluster.build + '/tests/e2e-session', cluster.b.socket, *words],
                        cluster.b.namespace, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)
        said, _ = process.communicate(timeout=30)
        same(process.returncode, 0, said)
        return said.strip().split('\n')

    for handle in ('1', '12345', str(2 ** 63)):
        answers = session('calls', handle)
        same(len(answers), 11, f'answers to calls with handle {handle}: {answers}')
        for line in answers[1:]:
            true(line.split()[0] in ('DSM_ESTALE', 'DSM_EINVAL', 'closed'),
                 f'handle {handle}: {line}')
        true(any(line.startswith('DSM_ESTALE') for line in answers), f'a stale handle: {answers}')
    said = session('version', '77')[0]
    true(said.startswith('DSM_EVERSION') and '77' in said, f'another version: {said}')
    for junk in ('00', 'ff' * 100, '93c0', 'dd7fffffff', '9a81' + '00' * 50):
        said = session('bytes', junk)
        true(said[-1].split()[0] in ('DSM_EPROTO', 'closed'), f'{junk}: {said}')
    again(1)


def test_mode_keeps_other_users_out_on_every_host(cluster):
    """Two users, and a region of mode 0600: on its own host and on another."""
    name, size = cluster.name('private'), PAGE
    owner = cluster.a.tool(uid=1001)
    owner.open(name, size, mode='0600')
    owner.do(f'fill 0 0 {size} 1')
    for host in (cluster.a, cluster.b):
        other = host.tool(uid=1002)
        other.fails(f'open 0 {name} r 0', 'DSM_EACCES', name)
        other.fails(f'open 0 {name} w 0', 'DSM_EACCES', name)
        other.fails(f'open 0 {name} wc 0666', 'DSM_EACCES', name)
        other.fails(f'unlink {name}', 'DSM_EACCES', name)
        same_user = host.tool(uid=1001).open(name, flags='w')
        same(same_user.do(f'check 0 0 {size} 1'), '0', f'the owner on {host.name}')
        root = host.tool().open(name, flags='w')
        same(root.do(f'check 0 0 {size} 1'), '0', f'root on {host.name}')
    readable = cluster.name('readable')
    owner.open(readable, size, mode='0644', slot=1)
    owner.do(f'fill 1 0 {size} 2')
    reader = cluster.b.tool(uid=1002)
    reader.open(readable, flags='r', protection='r')
    same(reader.do(f'check 0 0 {size} 2'), '0', 'others may read')
    reader.fails(f'open 1 {readable} w 0', 'DSM_EACCES', readable)
    grouped = cluster.name('grouped')
    owner_of_group = cluster.a.tool(uid=1001, gid=2000)
    owner_of_group.do('umask 0')
    owner_of_group.open(grouped, size, mode='0660')
    member = cluster.c.tool(uid=1003, gid=2000).open(grouped, flags='w')
    member.do(f'fill 0 0 {size} 3')
    same(owner_of_group.do(f'check 0 0 {size} 3'), '0', 'the group may write')
    sem = cluster.name('sem')
    owner.do(f'semopen 0 {sem} c 0600 1')
    reader.fails(f'semopen 0 {sem} r 0 0', 'DSM_EACCES', sem)
    same(owner.do('stat 0').split()[2:5], ['600', '1001', '1001'], 'mode and owner')
