/// The values of a statement's parameters, $1 first, as libpq takes them: texts that end with a zero byte.
struct PostgresParameters: ExpressibleByArrayLiteral {
    private var bytes: [CChar] = []
    /// Where each begins in `bytes`; nil is NULL.
    private var starts: [Int?] = []
    /// Whether a text has a zero byte in it. PostgreSQL keeps none, and would see the text end there.
    private(set) var hasZeroByte = false

    /// One value.
    enum Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
        case text(String?)
        case integer(Int64?)

        init(stringLiteral text: String) { self = .text(text) }
        init(integerLiteral number: Int64) { self = .integer(number) }
    }

    init(arrayLiteral values: Value...) { for value in values { append(value) } }

    mutating func append(_ value: Value) {
        switch value {
        case .text(nil), .integer(nil): starts.append(nil)
        case .text(let text?): append(text)
        case .integer(let number?): append(String(number))
        }
    }

    private mutating func append(_ text: String) {
        starts.append(bytes.count)
        for byte in text.utf8 {
            if byte == 0 { hasZeroByte = true }
            bytes.append(CChar(bitPattern: byte))
        }
        bytes.append(0)
    }

    /// Lends the values as PQsendQueryPrepared takes them.
    func withPointers<Value>(_ body: (_ count: Int32, UnsafePointer<UnsafePointer<CChar>?>?) -> Value) -> Value {
        bytes.withUnsafeBufferPointer { bytes in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: starts.count) { pointers in
                for (index, start) in starts.enumerated() {
                    pointers.initializeElement(at: index, to: start.flatMap { bytes.baseAddress?.advanced(by: $0) })
                }
                return body(Int32(starts.count), UnsafePointer(pointers.baseAddress))
            }
        }
    }
}
