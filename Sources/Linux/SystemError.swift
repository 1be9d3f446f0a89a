import CLinux
import Glibc

/// A failed system call: which one, on what, and why.
public struct SystemError: Error, Equatable, CustomStringConvertible {
    /// The error number, errno(3), always positive.
    public let code: Int32
    /// The call's name as in section 2 of the manual.
    public let call: String

    /// - Parameters:
    ///   - code: a positive errno(3) value.
    ///   - call: the manual page's name of the call, with what it acted on where that helps a reader.
    public init(_ code: Int32, _ call: String) {
        self.code = code
        self.call = call
    }

    /// The C library's sentence for the code and its name, for example `mount: Operation not permitted (EPERM)`.
    public var description: String {
        let text = String(cString: strerror(code))
        return "\(call): \(text) (\(SystemError.name(of: code)))"
    }

    /// The symbolic name of an error number, or its decimal form where it is a rare one.
    public static func name(of code: Int32) -> String {
        switch code {
        case EPERM: "EPERM"
        case ENOENT: "ENOENT"
        case ESRCH: "ESRCH"
        case EIO: "EIO"
        case E2BIG: "E2BIG"
        case ENOEXEC: "ENOEXEC"
        case EBADF: "EBADF"
        case ECHILD: "ECHILD"
        case EAGAIN: "EAGAIN"
        case ENOMEM: "ENOMEM"
        case EACCES: "EACCES"
        case EFAULT: "EFAULT"
        case EBUSY: "EBUSY"
        case EEXIST: "EEXIST"
        case EXDEV: "EXDEV"
        case ENODEV: "ENODEV"
        case ENOTDIR: "ENOTDIR"
        case EISDIR: "EISDIR"
        case EINVAL: "EINVAL"
        case EMFILE: "EMFILE"
        case ENFILE: "ENFILE"
        case ENOSPC: "ENOSPC"
        case EROFS: "EROFS"
        case EPIPE: "EPIPE"
        case ENOSYS: "ENOSYS"
        case ELOOP: "ELOOP"
        case ENOTEMPTY: "ENOTEMPTY"
        case EMSGSIZE: "EMSGSIZE"
        case EADDRINUSE: "EADDRINUSE"
        case EADDRNOTAVAIL: "EADDRNOTAVAIL"
        case ENETUNREACH: "ENETUNREACH"
        case ECONNRESET: "ECONNRESET"
        case ECONNREFUSED: "ECONNREFUSED"
        case ECONNABORTED: "ECONNABORTED"
        case ETIMEDOUT: "ETIMEDOUT"
        case EHOSTUNREACH: "EHOSTUNREACH"
        case EINPROGRESS: "EINPROGRESS"
        case ENOTCONN: "ENOTCONN"
        case EOPNOTSUPP: "EOPNOTSUPP"
        case EINTR: "EINTR"
        default: "errno \(code)"
        }
    }
}

/// Turns a result-or-minus-errno of `CLinux` into a value or an error.
///
/// EBADF and EFAULT are never events: they mean that this program closed or passed the wrong thing, so they trap.
@inline(__always)
@discardableResult
func check(_ call: @autoclosure () -> String, _ result: Int) throws(SystemError) -> Int {
    if result >= 0 { return result }
    let code = Int32(-result)
    precondition(code != EBADF && code != EFAULT, "\(call()): bad descriptor or address, a defect of this program")
    throw SystemError(code, call())
}

/// Repeats a call that a signal interrupted. signal(7). Never for close(2) or connect(2).
@inline(__always)
func retrying(_ call: () -> Int) -> Int {
    while true {
        let result = call()
        if result != -Int(EINTR) { return result }
    }
}

/// Result-or-minus-errno of a C library call that sets errno.
@inline(__always)
func result(_ value: Int32) -> Int { value < 0 ? -Int(errno) : Int(value) }

/// Result-or-minus-errno of a C library call that sets errno.
@inline(__always)
func result(_ value: Int) -> Int { value < 0 ? -Int(errno) : value }
