import Linux
import Model

/// The drone's side of its session's lease: when to renew, and until when its backends may live.
///
/// **Assumptions.** The controller starts its expiry when it *receives* a hello or a renewal, answers only what it has
/// received while the session was alive, and never shortens an expiry that it granted. Answers may be lost, late,
/// repeated or out of order. `now` is this machine's boot clock, so that a suspended machine's time counts too.
///
/// **Promise.** Both deadlines count from the moment the newest *acknowledged* hello or renewal was sent. That moment
/// is not later than the controller's receipt, and `hard` is shorter than the controller's expiry by more than clocks
/// drift, so every backend has been killed before the controller gives its key away. Deadlines only move forward:
/// what was promised to a backend (and to the warden) is never taken back. An answer that is not understood changes
/// nothing, which at worst ends backends too early.
///
/// **Not promised.** That an unanswered drone keeps its backends: several renewals fit before `soft`, and when all of
/// them are lost, backends are asked to end, then killed.
///
/// Pure: it sends nothing and reads no clock.
struct SessionLease: Equatable, Sendable {
    /// What the drone does now.
    enum Action: Equatable, Sendable {
        /// Send a renewal with this number, now: its deadlines count from the moment that was passed in.
        case sendRenewal(sequence: Int64)
        /// The warden may let every backend live until then.
        case extendBackends(until: BootInstant)
        /// Ask every backend to end.
        case softExpired
        /// Kill every backend. The warden does the same on its own.
        case hardExpired
    }

    /// How the lease stands at a moment.
    enum Standing: Equatable, Sendable {
        /// No controller has welcomed this drone yet. Nothing may be spawned.
        case never
        /// Backends live, and new ones may be spawned.
        case held
        /// Backends were asked to end; nothing may be spawned.
        case soft
        /// Every backend is dead or dying.
        case hard
    }

    private enum Link: Equatable {
        case down
        case greeting(sent: BootInstant)
        case up(times: LeaseTimes, lastSent: BootInstant, unanswered: [Renewal])
    }

    private struct Renewal: Equatable {
        let sequence: Int64
        let sent: BootInstant
    }

    private struct Deadlines: Equatable {
        var soft: BootInstant
        var hard: BootInstant
    }

    /// Renewals whose answers are waited for. More than fit into any sensible lease; the oldest is given up first.
    static let unansweredMax = 64

    private var link = Link.down
    private var deadlines: Deadlines?
    private var announced = Standing.never
    private var nextSequence: Int64 = 1

    /// No session yet.
    init() {}

    /// How the lease stands.
    func standing(now: BootInstant) -> Standing {
        guard let deadlines else { return .never }
        return now < deadlines.soft ? .held : now < deadlines.hard ? .soft : .hard
    }

    /// Until when a backend that is spawned now may live; nil when none may be spawned.
    func spawnDeadline(now: BootInstant) -> BootInstant? {
        standing(now: now) == .held ? deadlines?.hard : nil
    }

    /// When `tick` next has something to say; nil when only an event can change anything.
    var nextWake: BootInstant? {
        var moments: [BootInstant] = []
        if case .up(let times, let lastSent, _) = link {
            moments.append(lastSent + .milliseconds(times.renewMilliseconds))
        }
        if let deadlines {
            switch announced {
            case .never, .held: moments.append(deadlines.soft)
            case .soft: moments.append(deadlines.hard)
            case .hard: break
            }
        }
        return moments.min()
    }

    /// A connection is up and the hello is being sent, which counts as a renewal once the welcome answers it.
    mutating func helloSent(now: BootInstant) { link = .greeting(sent: now) }

    /// The connection is gone, and with it every answer that was on its way. Deadlines stay as they are.
    mutating func disconnected() { link = .down }

    /// The controller answered the hello.
    /// - Parameter times: checked by their initializer; what a message carries is not.
    mutating func welcomed(_ times: LeaseTimes, now: BootInstant) -> [Action] {
        guard case .greeting(let sent) = link else { return [] }
        link = .up(times: times, lastSent: sent, unanswered: [])
        return acknowledge(sentAt: sent, times: times, now: now)
    }

    /// The controller answered a renewal. Any that was not sent, or was answered before, changes nothing.
    mutating func renewed(sequence: Int64, now: BootInstant) -> [Action] {
        guard case .up(let times, let lastSent, var unanswered) = link,
            let index = unanswered.firstIndex(where: { $0.sequence == sequence })
        else { return [] }
        let sent = unanswered[index].sent
        // An older renewal's answer cannot move a deadline forward any more.
        unanswered.removeFirst(index + 1)
        link = .up(times: times, lastSent: lastSent, unanswered: unanswered)
        return acknowledge(sentAt: sent, times: times, now: now)
    }

    /// Time has passed. Renewals go out at the renewal interval whether or not the last one was answered.
    mutating func tick(now: BootInstant) -> [Action] {
        var actions = announceExpiry(now: now)
        guard case .up(let times, let lastSent, var unanswered) = link,
            now >= lastSent + .milliseconds(times.renewMilliseconds)
        else { return actions }
        if unanswered.count == Self.unansweredMax { unanswered.removeFirst() }
        unanswered.append(Renewal(sequence: nextSequence, sent: now))
        link = .up(times: times, lastSent: now, unanswered: unanswered)
        actions.append(.sendRenewal(sequence: nextSequence))
        nextSequence += 1
        return actions
    }

    private mutating func acknowledge(sentAt sent: BootInstant, times: LeaseTimes, now: BootInstant) -> [Action] {
        let granted = Deadlines(
            soft: sent + .milliseconds(times.softMilliseconds), hard: sent + .milliseconds(times.hardMilliseconds))
        let before = deadlines
        deadlines = Deadlines(
            soft: max(granted.soft, before?.soft ?? granted.soft), hard: max(granted.hard, before?.hard ?? granted.hard)
        )
        guard let current = deadlines, current.hard > now, current.hard > before?.hard ?? BootInstant(nanoseconds: 0)
        else { return announceExpiry(now: now) }
        // What was announced before concerned backends that have ended since or are ending; new ones may come.
        announced = standing(now: now) == .held ? .held : announced
        return [.extendBackends(until: current.hard)] + announceExpiry(now: now)
    }

    private mutating func announceExpiry(now: BootInstant) -> [Action] {
        switch (standing(now: now), announced) {
        case (.never, _), (.held, _), (.soft, .soft), (.soft, .hard), (.hard, .hard): return []
        case (.soft, _):
            announced = .soft
            return [.softExpired]
        case (.hard, _):
            announced = .hard
            return [.hardExpired]
        }
    }
}
