public import Linux

/// Why a call got no usable response. Each case is a sentence that names the URL.
public enum HTTPClientError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The host name leads to no IPv4 address.
    case cannotResolve(HTTPURL, reason: String)
    /// No connection could be made.
    case cannotConnect(HTTPURL, SystemError)
    /// The connection broke before the response was whole.
    case lost(HTTPURL, SystemError)
    /// The server closed before the response was whole.
    case endedEarly(HTTPURL)
    /// The deadline passed; of a stream: nothing came for longer than its silence limit.
    case timedOut(HTTPURL, Duration)
    /// The response is not valid HTTP/1.1.
    case malformed(HTTPURL, reason: String)
    /// The response is larger than the caller allows.
    case tooLarge(HTTPURL, byteCountMax: Int)
    /// The server answered, but did not grant the stream or the WebSocket.
    case notGranted(HTTPURL, Response)

    /// The sentence for a person.
    public var description: String {
        switch self {
        case .cannotResolve(let url, let reason): "cannot find the host of \(url): \(reason)"
        case .cannotConnect(let url, let error): "cannot connect to \(url): \(error). Is it running there?"
        case .lost(let url, let error): "lost the connection to \(url): \(error)"
        case .endedEarly(let url): "\(url) closed the connection before its response was complete"
        case .timedOut(let url, let limit): "\(url) did not answer within \(limit)"
        case .malformed(let url, let reason): "\(url) gave no valid HTTP response: \(reason)"
        case .tooLarge(let url, let limit): "the response of \(url) is larger than \(limit) bytes"
        case .notGranted(let url, let response):
            "\(url) answered \(response.status): \(String(decoding: response.body.prefix(500), as: UTF8.self))"
        }
    }
}
