#!/usr/bin/env python3
"""Seeds that are better made than stored: seeds.py TARGET DIR"""
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
import hostile  # noqa: E402

SEED_MAX = 8192


def packages():
    for name, (kind, _, _, _) in hostile.CASES.items():
        if kind == 'opc' and not name.startswith(('bomb', 'deep', 'name-longest')):
            yield name, hostile.build(name)
    z = hostile.Zip()
    hostile.start(z, 'opc')
    z.add('bin/run', b'#!/bin/sh\n' * 20, method=8, mode=0o100755, wide=True)
    z.link('bin/link', '../good.txt')
    z.add('folder/', b'')
    yield 'good', z.bytes(zip64=True, comment=b'a comment')


def footers():
    for name, size, kind in ('fixed', 1 << 20, 2), ('dynamic', 1 << 20, 3), ('differencing', 1 << 20, 4):
        footer = b'conectix' + struct.pack('>IIQI4sI4sQQHBBI', 2, 0x10000, (1 << 64) - 1, 0, b'win ', 0xa0000,
                                           b'Wi2k', size, size, 30, 4, 17, kind)
        yield name, struct.pack('>Q', size + 512) + footer.ljust(512, b'\0')


def main():
    seeds = {'index': packages, 'footer': footers}.get(sys.argv[1])
    for name, data in seeds() if seeds else ():
        if len(data) <= SEED_MAX:
            with open(os.path.join(sys.argv[2], name), 'wb') as f:
                f.write(data)


if __name__ == '__main__':
    main()
