#!/usr/bin/env python3
"""Packages that try to do harm, byte by byte and the same at every run.

    hostile.py CASE OUT        write the package CASE to the file OUT
    hostile.py --list [KIND]   the names of all cases
    hostile.py --expect CASE   what installing it says: a regular expression
    hostile.py --stage CASE    where it is found out (below)
    hostile.py --all DIR [KIND]  write each to DIR/CASE.zip, and for each a line with
                               CASE, stage and expression, tabs between, to stdout

KIND is opc (packages, with [Content_Types].xml; these are what installing with
hpcsync is about) or zip (the same without; their names end in -zip). Stages:

    open     the package as a whole is refused
    check    the package can be listed; installing it is refused before anything is
             read. Mounted, the member is not there or can't be opened
    link     a symlink that leads out; likewise
    read     found out while the member is read: EIO where it is mounted
    none     nothing is wrong with it but that there is nothing in it

Every case but the last kind also has a member good.txt in front ("good" and a
newline), which must not be installed either. Limits that the bombs run into: 1 GiB
in all, a ratio of 500. Nothing but the standard library, whose zipfile would refuse
to write most of this.
"""
import argparse
import os
import struct
import sys
import zlib

CONTENT_TYPES = (b'<?xml version="1.0" encoding="utf-8"?>'
                 b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
                 b'<Default Extension="txt" ContentType="application/octet-stream"/>'
                 b'<Default Extension="bin" ContentType="application/octet-stream"/></Types>')

S_IFLNK, S_IFCHR = 0o120000, 0o020000
MIB = 1 << 20


def deflate(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return z.compress(data) + z.flush()


def zeros(mib):
    """So many MiB of zeros, deflated, and their CRC-32: quick, because after a full
    flush the same input gives the same bytes again."""
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(MIB)
    z.compress(block)
    z.flush(zlib.Z_FULL_FLUSH)
    again = z.compress(block) + z.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(mib):
        crc = zlib.crc32(block, crc)
    return again * mib + b'\x03\x00', crc


class Zip:
    """A zip in the making. What is said in lies stands in the directory instead of
    what is true; local_* in the local header."""

    def __init__(self):
        self.data = bytearray()
        self.directory = bytearray()
        self.count = 0

    def local(self, name, method, flags, crc, packed, size, extra=b''):
        return struct.pack('<IHHHHHIIIHH', 0x04034b50, 20, flags, method, 0, 0x21, crc,
                           min(packed, 0xffffffff), min(size, 0xffffffff), len(name), len(extra)) + name + extra

    def central(self, name, method, flags, crc, packed, size, offset, mode=0, extra=b'', wide=False):
        if wide:
            extra += struct.pack('<HHQQQ', 1, 24, size, packed, offset)
            packed = size = offset = 0xffffffff
        self.directory += struct.pack('<IBBHHHHHIIIHHHHHII', 0x02014b50, 20, 3 if mode else 0, 20, flags, method,
                                      0, 0x21, crc, packed, size, len(name), len(extra), 0, 0, 0,
                                      mode << 16, offset) + name + extra
        self.count += 1

    def add(self, name, data=b'x', method=0, flags=0, mode=0, raw=None, local_extra=b'', wide=False, **lies):
        """`raw` are the bytes as they stand in the file, where they are not made of data."""
        if isinstance(name, str):
            name = name.encode()
        if raw is None:
            raw = deflate(data) if method == 8 else data
        truth = {'crc': zlib.crc32(data), 'packed': len(raw), 'size': len(data), 'offset': len(self.data)}
        told = {k: lies.get(k, v) for k, v in truth.items()}
        self.data += self.local(name, lies.get('local_method', method), flags,
                                lies.get('local_crc', told['crc']), lies.get('local_packed', told['packed']),
                                lies.get('local_size', told['size']), local_extra) + raw
        self.central(name, method, flags, told['crc'], told['packed'], told['size'], told['offset'], mode, wide=wide)

    def link(self, name, target):
        self.add(name, target.encode(), mode=S_IFLNK | 0o777)

    def bytes(self, zip64=False, comment=b'', disk=0, **lies):
        offset = lies.get('offset', len(self.data))
        size = lies.get('size', len(self.directory))
        count = lies.get('count', self.count)
        out = bytes(self.data) + bytes(self.directory)
        if zip64:
            here = len(out)
            out += struct.pack('<IQHHIIQQQQ', 0x06064b50, 44, 45, 45, 0, 0, count, count, size, offset)
            out += struct.pack('<IIQI', 0x07064b50, 0, here, 1)
            count, size, offset = 0xffff, 0xffffffff, 0xffffffff
        return out + struct.pack('<IHHHHIIH', 0x06054b50, disk, 0, count, count, size, offset, len(comment)) + comment


CASES = {}


def case(name, stage, expect, kinds=('opc', 'zip')):
    """Register a maker: it gets a Zip with what is good in it and a kind, adds what is
    bad, and may return the bytes of the whole."""
    def register(make):
        for kind in kinds:
            CASES[name if kind == 'opc' else name + '-zip'] = (kind, stage, expect, make)
        return make
    return register


def named(case_name, member, expect, kinds=('opc', 'zip')):
    case(case_name, 'check', expect, kinds)(lambda z, kind: z.add(member, b'evil\n'))


# --- names ---
OUT = 'leads out of the package'
ABSOLUTE = 'its name is an absolute path'
CHARACTERS = 'its name has characters that are not allowed'
LONG = 'its name is too long'

named('dotdot', '../evil.txt', OUT)
named('dotdot-deep', 'bin/../../evil.txt', OUT)
named('dotdot-only', '..', OUT)
named('dotdot-last', 'bin/..', OUT)
named('dotdot-inside', 'bin/../evil.txt', OUT)
named('dotdot-backslash', '..\\evil.txt', OUT)
named('dotdot-mixed', 'bin\\../..\\evil.txt', OUT)
named('dotdot-escaped', '%2E%2E/evil.txt', OUT, ('opc',))
named('dotdot-half-escaped', 'bin/.%2e/.%2E/evil.txt', OUT, ('opc',))
named('absolute', '/tmp/hpcpack-hostile-evil.txt', ABSOLUTE)
named('absolute-double', '//tmp/hpcpack-hostile-evil.txt', ABSOLUTE)
named('absolute-backslash', '\\evil.txt', ABSOLUTE)
named('unc', '\\\\server\\share\\evil.txt', ABSOLUTE)
named('drive', 'C:evil.txt', ABSOLUTE)
named('drive-backslash', 'C:\\evil.txt', ABSOLUTE)
named('drive-slash', 'c:/evil.txt', ABSOLUTE)
named('drive-escaped', 'C%3A/evil.txt', ABSOLUTE, ('opc',))
named('backslash', 'bin\\evil.txt', CHARACTERS, ('opc',))
named('nul', 'evil.txt\0.good', CHARACTERS)
named('nul-first', '\0evil.txt', CHARACTERS)
named('name-empty', '', 'it has no name')
named('name-dot', '.', 'it has no name')
named('part-long', 'x' * 256, LONG)
named('part-long-middle', 'a/' + 'x' * 256 + '/b.txt', LONG)
named('path-long', '/'.join(['x' * 15] * 257), LONG)
named('name-longest', '/'.join(['x' * 15] * 4095)[:65535], LONG)
named('part-long-utf8', '\u20ac' * 86, LONG)
named('part-long-cp437', b'\xb0' * 86, LONG)
named('escape-slash', 'bin%2Fevil.txt', CHARACTERS, ('opc',))
named('escape-backslash', 'bin%5cevil.txt', CHARACTERS, ('opc',))
named('escape-nul', 'evil.txt%00', CHARACTERS, ('opc',))
named('escape-broken', 'evil%zz.txt', CHARACTERS, ('opc',))
named('escape-cut', 'evil.txt%2', CHARACTERS, ('opc',))
named('escape-not-utf8', 'evil%FF.txt', CHARACTERS, ('opc',))


@case('device', 'check', 'it is a device or socket')
def _(z, kind):
    z.add('null', b'', mode=S_IFCHR | 0o666)


# --- the tree ---
TWICE = 'this name is there more than once'
CONFLICT = 'it is a file, and another member needs a folder there'


@case('twice', 'check', TWICE)
def _(z, kind):
    z.add('a.txt', b'first')
    z.add('a.txt', b'second')


@case('twice-good', 'check', TWICE)
def _(z, kind):
    z.add('./good.txt', b'evil')


@case('twice-escaped', 'check', TWICE, ('opc',))
def _(z, kind):
    z.add('a%20b.txt', b'first')
    z.add('a b.txt', b'second')


@case('file-and-dir', 'check', CONFLICT)
def _(z, kind):
    z.add('both', b'a file')
    z.add('both/', b'')


@case('file-as-dir', 'check', CONFLICT)
def _(z, kind):
    z.add('both', b'a file')
    z.add('both/below.txt', b'another')


@case('link-then-file', 'check', CONFLICT)
def _(z, kind):
    z.link('link', '/tmp')
    z.add('link/hpcpack-hostile-evil.txt', b'evil')


@case('link-and-file', 'check', TWICE)
def _(z, kind):
    z.link('link.txt', '/tmp/hpcpack-hostile-evil.txt')
    z.add('link.txt', b'evil')


@case('deep', 'open', 'nested too deeply')
def _(z, kind):
    for i in range(24):
        z.add('%02d/%02d/' % (i // 12, i % 12) + 'a/' * 2044 + 'f', b'x')


LINK_OUT = 'symlink that leads out of the package'


@case('link-absolute', 'link', LINK_OUT)
def _(z, kind):
    z.link('link.txt', '/etc/passwd')


@case('link-up', 'link', LINK_OUT)
def _(z, kind):
    z.link('bin/link.txt', '../../../../../../etc/passwd')


@case('link-chain', 'link', LINK_OUT)
def _(z, kind):
    z.add('dir/good.txt', b'x')
    z.link('dir/up', '..')
    z.link('out', 'dir/up/../..')


@case('link-chain-hidden', 'link', LINK_OUT)
def _(z, kind):
    z.add('dir/deep/good.txt', b'x')
    z.link('here', 'dir/deep')
    z.link('dir/deep/up', '../..')
    z.link('out', 'here/up/../x')


@case('link-long', 'check', "its sizes can't be true")
def _(z, kind):
    z.link('link.txt', 'x' * 5000)


@case('link-empty', 'check', "its sizes can't be true")
def _(z, kind):
    z.link('link.txt', '')


# --- data that overlaps ---
OVERLAP = 'it shares its data with another member'


@case('overlap-same', 'check', OVERLAP)
def _(z, kind):
    offset = len(z.data)
    z.add('a.txt', b'the same for both')
    z.central(b'b.txt', 0, 0, zlib.crc32(b'the same for both'), 17, 17, offset)


@case('overlap-inside', 'check', OVERLAP)
def _(z, kind):
    inner = z.local(b'b.txt', 0, 0, zlib.crc32(b'inner'), 5, 5) + b'inner'
    offset = len(z.data) + 30 + 5
    z.add('a.txt', inner + b'the rest')
    z.central(b'b.txt', 0, 0, zlib.crc32(b'inner'), 5, 5, offset)


@case('overlap-quoted', 'check', OVERLAP)
def _(z, kind):
    """Each member quotes the local header of the next as a stored block and goes on
    with its data, so that one kernel is unpacked by all of them (Fifield 2019)."""
    kernel, crc = zeros(1)
    members = [(b'%03d.txt' % 99, kernel, bytes(MIB))]
    for i in range(98, -1, -1):
        name, packed, data = members[0]
        header = z.local(name, 8, 0, zlib.crc32(data), len(packed), len(data))
        quoted = struct.pack('<BHH', 0, len(header), len(header) ^ 0xffff)
        members.insert(0, (b'%03d.txt' % i, quoted + header + packed, header + data))
    start = len(z.data)
    name, packed, data = members[0]
    z.data += z.local(name, 8, 0, zlib.crc32(data), len(packed), len(data)) + packed
    at = start
    for name, packed, data in members:
        z.central(name, 8, 0, zlib.crc32(data), len(packed), len(data), at)
        at += 30 + len(name) + 5


# --- sizes that lie ---
LIES = "its sizes can't be true"


@case('lie-stored', 'check', LIES)
def _(z, kind):
    z.add('a.txt', b'stored', size=100)


@case('lie-ratio', 'check', LIES)
def _(z, kind):
    z.add('a.txt', bytes(5000), method=8, size=1 << 30)


@case('lie-nothing', 'check', LIES)
def _(z, kind):
    z.add('a.txt', b'', method=8, raw=b'', size=1)


@case('lie-less', 'read', 'more than the size it claims')
def _(z, kind):
    z.add('a.txt', bytes(5000), method=8, size=4999)


@case('lie-more', 'read', 'less than the size it claims')
def _(z, kind):
    z.add('a.txt', bytes(5000), method=8, size=5001)


@case('lie-packed-less', 'read', 'damaged data: it ends too early')
def _(z, kind):
    raw = deflate(bytes(range(256)) * 20)
    z.add('a.txt', bytes(range(256)) * 20, method=8, raw=raw, packed=len(raw) - 10)


@case('lie-packed-more', 'read', 'ends before the packed size')
def _(z, kind):
    z.add('a.txt', b'hello', method=8, raw=deflate(b'hello') + b'more')


@case('lie-outside', 'check', 'its data would lie outside the archive')
def _(z, kind):
    z.add('a.txt', b'stored', size=1 << 20, packed=1 << 20)


@case('lie-offset', 'check', 'its data would lie outside the archive')
def _(z, kind):
    z.add('a.txt', b'stored', offset=0xfffffff0)


@case('lie-local-size', 'read', 'another size or CRC')
def _(z, kind):
    z.add('a.txt', b'stored', local_size=3, local_packed=3)


@case('lie-local-crc', 'read', 'another size or CRC')
def _(z, kind):
    z.add('a.txt', b'stored', local_crc=1)


@case('lie-local-method', 'read', 'another method')
def _(z, kind):
    z.add('a.txt', b'stored', local_method=8)


@case('lie-local-extra', 'read', 'leaves no room for its data')
def _(z, kind):
    """A longer extra field than there is moves the data into the next member."""
    at = len(z.data)
    z.add('a.txt', b'stored')
    z.data[at + 28:at + 30] = struct.pack('<H', 1000)
    z.add('b.txt', bytes(5000))


@case('lie-local-name', 'read', 'leaves no room for its data')
def _(z, kind):
    at = len(z.data)
    z.add('a.txt', b'stored')
    z.data[at + 26:at + 28] = struct.pack('<H', 65535)


@case('no-local-header', 'read', 'no local header where')
def _(z, kind):
    at = len(z.data)
    z.add('a.txt', b'stored')
    z.data[at] = 0


@case('crc', 'read', 'CRC error')
def _(z, kind):
    z.add('a.txt', b'stored', crc=1)


@case('crc-deflated', 'read', 'CRC error')
def _(z, kind):
    z.add('a.txt', bytes(100000), method=8, crc=1)


@case('damaged', 'read', 'damaged data')
def _(z, kind):
    z.add('a.txt', bytes(5000), method=8, raw=b'\xff' * 100)


@case('dir-with-data', 'check', LIES)
def _(z, kind):
    z.add('folder/', b'evil')


@case('zip64-offset', 'check', 'its data would lie outside the archive')
def _(z, kind):
    z.add('a.txt', b'stored', wide=True, offset=(1 << 64) - 30)


@case('zip64-size', 'check', LIES)
def _(z, kind):
    z.add('a.txt', b'', method=8, raw=b'', wide=True, size=(1 << 64) - 1)


@case('zip64-sizes', 'check', 'its data would lie outside the archive')
def _(z, kind):
    z.add('a.txt', b'', wide=True, size=(1 << 64) - 1, packed=(1 << 64) - 1)


@case('zip64-missing', 'check', LIES)
def _(z, kind):
    """An extra field of zip64 that is too short for what it should hold."""
    offset = len(z.data)
    z.add('good2.txt', b'x')
    z.central(b'a.txt', 0, 0, 0, 0xffffffff, 0xffffffff, offset, extra=struct.pack('<HHI', 1, 4, 5))


# --- bombs ---
@case('bomb-ratio', 'open', 'it unpacks to')
def _(z, kind):
    raw, crc = zeros(100)
    z.add('a.bin', b'', method=8, raw=raw, size=100 * MIB, crc=crc)


@case('bomb-total', 'open', 'it unpacks to')
def _(z, kind):
    raw, crc = zeros(100)
    for i in range(11):
        z.add('%d.bin' % i, b'', method=8, raw=raw, size=100 * MIB, crc=crc)


@case('bomb-hidden', 'read', 'more than the size it claims')
def _(z, kind):
    raw, crc = zeros(100)
    z.add('a.bin', b'', method=8, raw=raw, size=10, crc=crc)


# --- what can't be read ---
METHOD = 'neither stored nor deflated'


@case('encrypted', 'check', 'it is encrypted')
def _(z, kind):
    z.add('a.txt', b'12 bytes and the rest', flags=1, size=9)


@case('encrypted-strong', 'check', 'it is encrypted')
def _(z, kind):
    z.add('a.txt', b'secret', flags=0x41)


@case('encrypted-aes', 'check', 'it is encrypted')
def _(z, kind):
    z.add('a.txt', b'secret', method=99)


@case('encrypted-local', 'read', 'another method')
def _(z, kind):
    at = len(z.data)
    z.add('a.txt', b'secret')
    z.data[at + 6] = 1


for number, method in (1, 'shrink'), (9, 'deflate64'), (12, 'bzip2'), (14, 'lzma'), (93, 'zstd'), (65535, 'unknown'):
    case('method-' + method, 'check', METHOD)(lambda z, kind, n=number: z.add('a.txt', b'packed', method=n))


@case('piece', 'check', 'a piece of an interleaved part', ('opc',))
def _(z, kind):
    z.add('a.txt/[0].piece', b'first')
    z.add('b.txt', b'x')
    z.add('a.txt/[1].last.piece', b'last')


# --- the archive as a whole ---
NO_ZIP = 'not a zip or OPC package'


@case('truncated', 'open', 'truncated')
def _(z, kind):
    z.add('a.txt', b'stored')
    data = z.bytes()
    return data[:len(data) // 2]


@case('truncated-directory', 'open', 'truncated')
def _(z, kind):
    z.add('a.txt', b'stored')
    return z.bytes()[:-60]


@case('truncated-end', 'open', 'truncated')
def _(z, kind):
    return z.bytes()[:-1]


@case('truncated-front', 'open', NO_ZIP)
def _(z, kind):
    z.add('a.txt', b'stored')
    return z.bytes()[-30:]


@case('truncated-nested', 'open', 'foreign bytes in front of it and behind it')
def _(z, kind):
    """A package that was cut off, in whose rest another one lies whole."""
    inner = Zip()
    start(inner, kind)
    inner.add('evil.txt', b'evil')
    z.add('inner.zip', inner.bytes())
    return bytes(z.data) + b'PK\3\4 cut off here'


@case('empty-file', 'open', 'empty, so not a zip or OPC package', ('opc',))
def _(z, kind):
    return b''


@case('no-zip', 'open', NO_ZIP, ('opc',))
def _(z, kind):
    return b'This is just text that somebody uploaded under the wrong name.\n'


@case('empty-archive', 'none', 'not an OPC package|empty', ('zip',))
def _(z, kind):
    return Zip().bytes()


@case('nowhere', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(offset=0xfffffff0)


@case('nowhere-inside', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(offset=0, size=0)


@case('nowhere-data', 'open', 'central directory holds something else than members')
def _(z, kind):
    return z.bytes(offset=len(z.data) - 10, size=len(z.directory) + 10)


@case('directory-larger', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(size=len(z.directory) + 1)


@case('directory-smaller', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(size=len(z.directory) - 1)


@case('directory-huge', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(size=0xfffffff0)


@case('count-more', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(count=z.count + 1)


@case('count-less', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(count=z.count - 1)


@case('count-huge', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(count=65535)


@case('count-huge-zip64', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(zip64=True, count=1 << 40)


@case('count-overflow-zip64', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(zip64=True, count=(1 << 64) // 46 + 1)


@case('size-overflow-zip64', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(zip64=True, size=(1 << 64) - 10)


@case('offset-overflow-zip64', 'open', NO_ZIP)
def _(z, kind):
    return z.bytes(zip64=True, offset=(1 << 64) - 10)


@case('locator-nowhere', 'open', 'no zip64 end record')
def _(z, kind):
    data = bytearray(z.bytes(zip64=True))
    data[-22 - 20 - 56] = 0
    return data


@case('split', 'open', 'split over several files')
def _(z, kind):
    return z.bytes(disk=1)


def start(z, kind):
    if kind == 'opc':
        z.add('[Content_Types].xml', CONTENT_TYPES, method=8)
    z.add('good.txt', b'good\n')


def build(name):
    kind, _, _, make = CASES[name]
    z = Zip()
    start(z, kind)
    data = make(z, kind)
    return z.bytes() if data is None else bytes(data)


def write(name, path):
    with open(path, 'wb') as f:
        f.write(build(name))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--list', nargs='?', const='all')
    parser.add_argument('--expect')
    parser.add_argument('--stage')
    parser.add_argument('--all', nargs='+')
    parser.add_argument('case', nargs='*')
    args = parser.parse_args()
    if args.list:
        print('\n'.join(n for n, c in CASES.items() if args.list in ('all', c[0])))
    elif args.expect:
        print(CASES[args.expect][2])
    elif args.stage:
        print(CASES[args.stage][1])
    elif args.all:
        for name, (kind, stage, expect, _) in CASES.items():
            if len(args.all) < 2 or args.all[1] == kind:
                write(name, os.path.join(args.all[0], name + '.zip'))
                print(name, stage, expect, sep='\t')
    elif len(args.case) == 2:
        write(*args.case)
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
