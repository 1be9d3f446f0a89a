import Policy

/// The programs that the sandboxes of a benchmark run: static ELF files of a few dozen instructions, so that what is
/// measured is the sandbox and not the program. elf(5).
enum BenchPayload: String, CaseIterable {
    /// Notes the time with its first instructions, writes it to standard output, and ends. What `true` does, plus the
    /// moment at which it began: clock_gettime(2) of CLOCK_REALTIME, which is one and the same in every time namespace.
    case stamp
    /// Waits for a signal, for measuring what a sandbox costs besides its program.
    case idle

    /// Bytes of the time that `stamp` writes: `struct timespec`.
    static let stampByteCount = 16

    /// Where its image has it.
    static let pathInside = "/payload"

    /// The whole executable.
    func executable(for architecture: Architecture) -> [UInt8] {
        let code = self.code(for: architecture)
        let machine: UInt16
        switch architecture {
        case .x86_64: machine = 62
        case .aarch64: machine = 183
        }
        return Self.elf(machine: machine, code: code)
    }

    private func code(for architecture: Architecture) -> [UInt8] {
        switch (self, architecture) {
        case (.stamp, .x86_64):
            [
                0x48, 0x83, 0xec, 0x10,  // sub rsp, 16
                0xb8, 0xe4, 0x00, 0x00, 0x00,  // mov eax, 228: clock_gettime
                0x31, 0xff,  // xor edi, edi: CLOCK_REALTIME
                0x48, 0x89, 0xe6,  // mov rsi, rsp
                0x0f, 0x05,  // syscall
                0xb8, 0x01, 0x00, 0x00, 0x00,  // mov eax, 1: write
                0xbf, 0x01, 0x00, 0x00, 0x00,  // mov edi, 1
                0x48, 0x89, 0xe6,  // mov rsi, rsp
                0xba, 0x10, 0x00, 0x00, 0x00,  // mov edx, 16
                0x0f, 0x05,  // syscall
                0xb8, 0xe7, 0x00, 0x00, 0x00,  // mov eax, 231: exit_group
                0x31, 0xff,  // xor edi, edi
                0x0f, 0x05,  // syscall
            ]
        case (.stamp, .aarch64):
            Self.words(
                0xd100_43ff,  // sub sp, sp, 16
                0xd280_0e28,  // mov x8, 113: clock_gettime
                0xd280_0000,  // mov x0, 0: CLOCK_REALTIME
                0x9100_03e1,  // mov x1, sp
                0xd400_0001,  // svc 0
                0xd280_0808,  // mov x8, 64: write
                0xd280_0020,  // mov x0, 1
                0x9100_03e1,  // mov x1, sp
                0xd280_0202,  // mov x2, 16
                0xd400_0001,  // svc 0
                0xd280_0bc8,  // mov x8, 94: exit_group
                0xd280_0000,  // mov x0, 0
                0xd400_0001)  // svc 0
        case (.idle, .x86_64):
            [
                0xb8, 0x0f, 0x01, 0x00, 0x00,  // mov eax, 271: ppoll
                0x31, 0xff,  // xor edi, edi: nothing to wait for,
                0x31, 0xf6,  // xor esi, esi
                0x31, 0xd2,  // xor edx, edx: and no end of it
                0x4d, 0x31, 0xd2,  // xor r10, r10
                0x4d, 0x31, 0xc0,  // xor r8, r8
                0x0f, 0x05,  // syscall
                0xeb, 0xeb,  // jmp to the first
            ]
        case (.idle, .aarch64):
            Self.words(
                0xd280_0928,  // mov x8, 73: ppoll
                0xd280_0000, 0xd280_0001, 0xd280_0002, 0xd280_0003, 0xd280_0004,  // mov x0 … x4, 0
                0xd400_0001,  // svc 0
                0x17ff_fff9)  // b to the first
        }
    }

    private static func words(_ words: UInt32...) -> [UInt8] {
        words.flatMap { word in withUnsafeBytes(of: word.littleEndian, Array.init) }
    }

    /// One segment that holds the headers and the code, and the word that the stack is not executable.
    private static func elf(machine: UInt16, code: [UInt8]) -> [UInt8] {
        let base: UInt64 = 0x40_0000
        let (headerSize, segmentHeaderSize) = (64, 56)
        let codeOffset = headerSize + 2 * segmentHeaderSize
        let size = UInt64(codeOffset + code.count)
        var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { file.append(contentsOf: $0) }
        }
        let (executableFile, loadedSegment, stackSegment): (UInt16, UInt32, UInt32) = (2, 1, 0x6474_e551)
        append(executableFile)
        append(machine)
        append(UInt32(1))
        append(base + UInt64(codeOffset))
        append(UInt64(headerSize))
        append(UInt64(0))
        append(UInt32(0))
        for field in [UInt16(headerSize), UInt16(segmentHeaderSize), 2, 0, 0, 0] { append(field) }
        func appendSegment(_ type: UInt32, flags: UInt32, address: UInt64, size: UInt64) {
            append(type)
            append(flags)
            for field in [0, address, address, size, size, 0x1_0000] { append(field) }
        }
        appendSegment(loadedSegment, flags: 5, address: base, size: size)
        appendSegment(stackSegment, flags: 6, address: 0, size: 0)
        return file + code
    }
}
