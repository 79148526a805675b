# SPDX-License-Identifier: Apache-2.0
"""What the tests of hosts of several kinds have in common."""

PAGE = 4096
GROUP = 65536  # the largest hardware page of all kinds


def typed(cluster, maker, size, text, page_size=PAGE, home=0, tools=None):
    """One program on each host with a typed region of its own name mapped; maker's makes it."""
    name = cluster.name('typed')
    tools = tools or cluster.tools()
    for tool in [tools[maker]] + [tool for tool in tools if tool is not tools[maker]]:
        tool.do(f'open 0 {name} wc 0600 {page_size} {home} {text}')
        if tool is tools[maker]:
            tool.do(f'truncate 0 {size}')
        tool.do(f'map 0 0 0 {size} w')
    return tools


def together(tools, command):
    for number, tool in enumerate(tools):
        tool.send(command(number))
    return [tool.answer(seconds=180) for tool in tools]


def kill(host):
    """End its agent in the midst of whatever it does."""
    host.agent.kill()
    host.agent.wait()
    host.agent = None
