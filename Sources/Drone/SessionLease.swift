package import Linux
package import Model

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
package struct SessionLease: Equatable, Sendable {
    /// What the drone does now.
    package enum Action: Equatable, Sendable {
        /// Send a renewal with this number, now: its deadlines count from the moment that was passed in.
        case sendRenewal(sequence: Int64)
        /// The warden may let every backend live until then.
        case extendBackends(until: BootInstant)
        /// Ask every backend to end.
        case softExpired
        /// Cut every connection of every backend, then kill it. A little later the warden kills it on its own.
        case hardExpired
        /// This controller is there and does not answer: begin again, with another one where there is one.
        case reconnect
    }

    /// How the lease stands at a moment.
    package enum Standing: Equatable, Sendable {
        /// No controller has welcomed this drone yet. Nothing may be spawned.
        case never
        /// Backends live, and new ones may be spawned.
        case held
        /// Backends were asked to end; nothing may be spawned.
        case soft
        /// Every backend is cut off, and dead or dying.
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
        /// When connections are cut, so that nothing leaves a backend any more when the warden kills it.
        var fence: BootInstant
        var hard: BootInstant

        init(_ times: LeaseTimes, from sent: BootInstant) {
            soft = sent + .milliseconds(times.softMilliseconds)
            hard = sent + .milliseconds(times.hardMilliseconds)
            fence = hard + (.zero - SessionLease.fenceMargin(times))
        }

        /// What was promised before stands.
        func notBefore(_ other: Deadlines?) -> Deadlines {
            guard let other else { return self }
            var later = self
            later.soft = max(soft, other.soft)
            later.fence = max(fence, other.fence)
            later.hard = max(hard, other.hard)
            return later
        }
    }

    /// Renewals whose answers are waited for. More than fit into any sensible lease; the oldest is given up first.
    package static let unansweredMax = 64

    /// Deliberate defects, for the simulator alone.
    package var defects: ProtocolDefects = []
    private var link = Link.down
    private var connection = ConnectionTimes.first
    private var deadlines: Deadlines?
    private var announced = Standing.never
    private var nextSequence: Int64 = 1

    /// No session yet.
    package init() {}

    /// How the lease stands.
    package func standing(now: BootInstant) -> Standing {
        guard let deadlines else { return .never }
        return now < deadlines.soft ? .held : now < deadlines.fence ? .soft : .hard
    }

    /// From the cutting of connections to the warden's deadline: at most 200 ms, and a quarter of what lies between soft and
    /// hard where that is shorter.
    static func fenceMargin(_ times: LeaseTimes) -> Duration {
        .milliseconds(min(200, (times.hardMilliseconds - times.softMilliseconds) / 4))
    }

    /// Until when a backend that is spawned now may live; nil when none may be spawned.
    package func spawnDeadline(now: BootInstant) -> BootInstant? {
        standing(now: now) == .held ? deadlines?.hard : nil
    }

    /// When `tick` next has something to say; nil when only an event can change anything.
    package var nextWake: BootInstant? {
        var moments: [BootInstant] = []
        switch link {
        case .down: break
        case .greeting(let sent): moments.append(sent + connection.answer)
        case .up(let times, let lastSent, let unanswered):
            moments.append(lastSent + .milliseconds(times.renewMilliseconds))
            if let oldest = unanswered.first { moments.append(oldest.sent + connection.answer) }
        }
        if let deadlines {
            switch announced {
            case .never, .held: moments.append(deadlines.soft)
            case .soft: moments.append(deadlines.fence)
            case .hard: break
            }
        }
        return moments.min()
    }

    /// A connection is up and the hello is being sent, which counts as a renewal once the welcome answers it.
    package mutating func helloSent(now: BootInstant) { link = .greeting(sent: now) }

    /// The connection is gone, and with it every answer that was on its way. Deadlines stay as they are.
    package mutating func disconnected() { link = .down }

    /// The controller answered the hello.
    /// - Parameter times: checked by their initializer; what a message carries is not.
    package mutating func welcomed(_ times: LeaseTimes, now: BootInstant) -> [Action] {
        guard case .greeting(let sent) = link else { return [] }
        link = .up(times: times, lastSent: sent, unanswered: [])
        connection = ConnectionTimes(times)
        return acknowledge(sentAt: sent, times: times, now: now)
    }

    /// The controller answered a renewal. Any that was not sent, or was answered before, changes nothing.
    package mutating func renewed(sequence: Int64, now: BootInstant) -> [Action] {
        guard case .up(let times, let lastSent, var unanswered) = link,
            let index = unanswered.firstIndex(where: { $0.sequence == sequence })
        else { return [] }
        let sent = unanswered[index].sent
        // An older renewal's answer cannot move a deadline forward any more.
        unanswered.removeFirst(index + 1)
        link = .up(times: times, lastSent: lastSent, unanswered: unanswered)
        return acknowledge(sentAt: sent, times: times, now: now)
    }

    /// Time has passed. Renewals go out at the renewal interval whether or not the last one was answered; a connection on
    /// which nothing is answered is given up while there is time for others.
    package mutating func tick(now: BootInstant) -> [Action] {
        var actions = announceExpiry(now: now)
        if isUnanswered(now: now) {
            link = .down
            return actions + [.reconnect]
        }
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

    private func isUnanswered(now: BootInstant) -> Bool {
        switch link {
        case .down: false
        case .greeting(let sent): now >= sent + connection.answer
        case .up(_, _, let unanswered): unanswered.first.map { now >= $0.sent + connection.answer } ?? false
        }
    }

    private mutating func acknowledge(sentAt sent: BootInstant, times: LeaseTimes, now: BootInstant) -> [Action] {
        // An answer that a paused drone finds too late: the proxy and the warden have ended what there was.
        let expired = standing(now: now) == .hard ? announceExpiry(now: now) : []
        return expired + grant(sentAt: defects.contains(.deadlineFromAnswer) ? now : sent, times: times, now: now)
    }

    private mutating func grant(sentAt sent: BootInstant, times: LeaseTimes, now: BootInstant) -> [Action] {
        let before = deadlines
        deadlines = Deadlines(times, from: sent).notBefore(before)
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
