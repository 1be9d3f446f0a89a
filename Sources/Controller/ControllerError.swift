public import HTTP
public import Linux
public import Store

/// Why a controller did not start, or stopped by itself.
public enum ControllerError: Error, CustomStringConvertible {
    /// Its address is not to be had.
    case listen(HTTPServer.ListenError)
    /// Its database is not to be had.
    case store(StoreError)
    /// Whom to let in cannot be told, or must not be so; a sentence.
    case access(String)
    /// A system call failed that should not.
    case system(SystemError)

    /// The sentence for a person.
    public var description: String {
        switch self {
        case .listen(let error): "\(error)"
        case .store(let error): "\(error)"
        case .access(let sentence): sentence
        case .system(let error): "\(error)"
        }
    }
}
