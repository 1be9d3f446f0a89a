import HTTP
import Linux
import Model
import Store

/// Whoever is owed an answer, and what is added to every answer to it.
struct Caller {
    /// Who may read the answer.
    enum Audience {
        /// Pages of any origin: `/pub`.
        case anyPage
        /// Programs that are trusted: `/ctrl`.
        case trusted
    }

    let responder: Responder
    let audience: Audience
    /// What it asked for, as the log names it.
    let request: String

    /// Answers.
    func answer(_ response: Response) { responder.respond(finished(response)) }

    /// Answers with a stream.
    func stream(_ head: Response, onClose: @escaping () -> Void) -> StreamWriter {
        responder.startStream(finished(head), onClose: onClose)
    }

    private func finished(_ response: Response) -> Response {
        switch audience {
        case .anyPage: Answer.readableByPages(response)
        case .trusted: response
        }
    }

    /// Answers with an error and logs it under the same id.
    /// - Parameter detail: what the log may know and the client may not.
    func refuse(_ failure: Failure, detail: String? = nil) {
        answer(Self.logged(failure, request, detail: detail))
    }

    /// Answers for a fault of the store.
    func refuse(_ error: StoreError) { refuse(Failure(error), detail: error.description) }

    /// The answer to what never became a request.
    static func refusal(_ status: Int, _ sentence: String) -> Response {
        logged(Failure(.invalidRequest, status: status, sentence), "malformed", detail: nil)
    }

    private static func logged(_ failure: Failure, _ request: String, detail: String?) -> Response {
        let id = RandomName.fresh()
        Log.write(
            failure.status >= 500 ? .error : .warn, "refused",
            [
                "request": request, "error": id, "status": "\(failure.status)", "kind": failure.kind.rawValue,
                "message": failure.message, "detail": detail ?? "",
            ])
        return Answer.failure(failure, id: id)
    }
}
