# SPDX-License-Identifier: Apache-2.0
"""dsm_advise: what is fetched, with which right, and when; counted."""

from cluster import same, true

PAGE = 4096
PAGES = 64


def written(cluster):
    """A region that a has written, mapped on b as well."""
    name = cluster.name('advice')
    on_a, on_b, on_c = cluster.tools()
    on_a.open(name, 4 * PAGES * PAGE)
    on_a.do(f'fill 0 0 {4 * PAGES * PAGE} 5')
    for tool in (on_b, on_c):
        tool.open(name, flags='w')
    return on_a, on_b, on_c


def faults(cluster, host, act):
    """Faults of a host's programs that asked a home for pages, while something is done."""
    before = host.stats('faults_remote')
    act()
    return host.stats('faults_remote') - before


def test_random_use_fetches_what_is_touched(cluster):
    """Pages in order, one fault each; once that is taken back, a few faults for all of them."""
    _, on_b, _ = written(cluster)
    received = cluster.b.stats('pages_received')
    on_b.do(f'advise 0 0 {PAGES * PAGE} random')

    def look(pages):
        same(on_b.do(f'check 0 0 {pages * PAGE} 5'), '0', 'wrong words')
    same(faults(cluster, cluster.b, lambda: look(PAGES // 2)), PAGES // 2, 'faults')
    same(cluster.b.stats('pages_received') - received, PAGES // 2, 'pages that came')
    on_b.do(f'advise 0 0 {PAGES * PAGE} normal')
    true(faults(cluster, cluster.b, lambda: look(PAGES)) < 8, 'faults of a walk')


def test_sequential_use_fetches_all_at_the_first_touch(cluster):
    """One fault in place of those that show that the pages are read in order."""
    _, on_b, on_c = written(cluster)
    size = PAGES * PAGE

    def look(tool):
        same(tool.do(f'check 0 0 {size} 5'), '0', f'words that {tool.host.name} reads wrong')
    on_b.do(f'advise 0 0 {size} sequential')
    same(faults(cluster, cluster.b, lambda: look(on_b)), 1, 'faults with advice')
    true(faults(cluster, cluster.c, lambda: look(on_c)) > 1, 'faults without')


def test_migratory_page_comes_with_the_right_to_write(cluster):
    """A read and a write of a page that another host has written: one transfer, not two."""
    _, on_b, on_c = written(cluster)

    def change(tool, number):
        tool.do(f'read 0 {number * PAGE} 8')
        tool.do(f'fill 0 {number * PAGE} {PAGE} {number}')
    same(faults(cluster, cluster.b, lambda: change(on_b, 9)), 2, 'faults without advice')
    on_c.do(f'advise 0 0 {PAGES * PAGE} migratory')
    same(faults(cluster, cluster.c, lambda: change(on_c, 9)), 1, 'faults with it')
    same(on_b.do(f'check 0 {9 * PAGE} {PAGE} 9'), '0', 'what the other host wrote is read')
