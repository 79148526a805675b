# SPDX-License-Identifier: Apache-2.0
"""Everything that six threads on three hosts did to some dozens of words, checked as a whole."""

from cluster import same, true
from programs import READS, WRITES, Recording, dsm_history, read_dump, write_dump

OPS = 4000


def test_history_is_sequentially_consistent(cluster):
    Recording(cluster, cluster.scaled(OPS), 1).run().check()


def test_history_on_one_page_is_sequentially_consistent(cluster):
    Recording(cluster, cluster.scaled(4 * OPS), 2, words=12, pages=1, regions=1).run().check()


def test_history_across_regions_is_sequentially_consistent(cluster):
    Recording(cluster, cluster.scaled(OPS), 3, words=60, pages=7, regions=3, home=1).run().check()


def test_history_of_large_pages_is_sequentially_consistent(cluster):
    Recording(cluster, cluster.scaled(OPS), 4, words=36, pages=16, page_size=16384).run().check()


def swap_reads(ops):
    """Two reads of one word, in the wrong order."""
    first = {}
    for op in ops:
        if op[1] == READS:
            earlier = first.setdefault(op[0], op)
            if earlier[2] != op[2]:
                earlier[2], op[2] = op[2], earlier[2]
                return
    raise AssertionError('no two reads of one word')


def lose_update(ops):
    """An addition that saw the value before the one that it should have seen."""
    op = next(op for op in ops if op[0] % 3 == 1 and op[1] == READS | WRITES and op[2] > 1)
    op[2], op[3] = op[2] - 1, op[3] - 1


def invent(ops):
    next(op for op in ops if op[1] == READS)[2] = 12345678901


def test_doctored_history_is_refused(cluster):
    """The checker does see what a broken memory would have done, and says where."""
    recording = Recording(cluster, 1000, 5).run().check()
    for doctor, words in ((swap_reads, 'a cycle of'), (lose_update, 'the same value'),
                          (invent, 'read a value that nobody wrote')):
        thread, ops = read_dump(recording.files[3])
        doctor(ops)
        write_dump(recording.files[3] + '.doctored', thread, ops)
        files = [*recording.files[:3], recording.files[3] + '.doctored', *recording.files[4:]]
        status, output = dsm_history(cluster, files)
        same(status, 1, f'{doctor.__name__}: {output}')
        true('NOT sequentially consistent' in output and words in output
             and 'thread 3' in output, f'{doctor.__name__}: {output}')


def test_bad_dump_is_refused(cluster):
    path = f'{cluster.directory}/bad'
    write_dump(path, 0, [[0, READS, 0, 0]])
    same(dsm_history(cluster, [path])[0], 0, 'a whole dump')
    with open(path, 'rb') as file:
        whole = file.read()
    for content, words in ((whole[:-1], 'fewer'), (whole + b'.', 'more'), (b'DSM', 'not a dump'),
                           (b'X' + whole[1:], 'not a dump')):
        with open(path, 'wb') as file:
            file.write(content)
        status, output = dsm_history(cluster, [path])
        same(status, 2, output)
        true(words in output, output)
