// A client on nats.go, as a dispatcher or any other Go program would write it: it follows subjects, tails a log,
// and prints one JSON line for everything that happens. The tests read those lines.
//
//	NATS_URL     nats://host:port
//	TOKEN        an Arvados API token
//	CLUSTER      the cluster's id
//	SESSION      the session id, sent as CONNECT user; may be left out
//	CREDENTIALS  "token" (default): the token as auth_token; "password": as password
//	SUBJECTS     what to follow, separated by spaces
//	TAIL         a tail request as JSON, {"container": ..., "file": ...}
package main

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

type line map[string]any

var printing sync.Mutex

func say(kind string, facts line) {
	out := line{"type": kind}
	for key, value := range facts {
		out[key] = value
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// sessionToken is the public part of a token, on which the session's own subjects hang.
func sessionToken(token string) string {
	parts := strings.Split(token, "/")
	switch {
	case parts[0] == "v2" && len(parts) == 3:
		return parts[1]
	case parts[0] == "v2" && len(parts) == 4:
		return "c_" + parts[1] + "_" + parts[3]
	}
	sum := sha256.Sum256([]byte(token))
	return "h" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
}

func orNone(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func main() {
	token, cluster, sid := os.Getenv("TOKEN"), os.Getenv("CLUSTER"), os.Getenv("SESSION")
	session := sessionToken(token) + "."
	if sid == "" {
		session += "_"
	} else {
		session += sid
	}
	closed := make(chan struct{})
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM, syscall.SIGINT)

	options := []nats.Option{
		nats.Name("go-client"),
		nats.CustomInboxPrefix("_INBOX." + session),
		nats.MaxReconnects(100),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(20*time.Millisecond, 20*time.Millisecond),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			// Subscriptions have been sent again; with this the server has them.
			if err := nc.Flush(); err == nil {
				say("reconnected", nil)
			}
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { say("disconnected", line{"reason": orNone(err)}) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			say("closed", line{"reason": orNone(nc.LastError())})
			close(closed)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				say("permission", line{"reason": err.Error()})
				return
			}
			say("error", line{"reason": err.Error()})
		}),
	}
	if os.Getenv("CREDENTIALS") == "password" {
		options = append(options, nats.UserInfo(sid, token))
	} else {
		// Both may be set: the session id goes as user, the token as auth_token.
		options = append(options, nats.UserInfo(sid, ""), nats.Token(token))
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"), options...)
	if err != nil {
		say("closed", line{"reason": err.Error()})
		os.Exit(1)
	}
	say("connected", line{"session": session})

	prefix := "arvados." + cluster
	follow(nc, prefix+".notice."+session, func(m *nats.Msg) { onNotice(nc, m) })
	for _, subject := range strings.Fields(os.Getenv("SUBJECTS")) {
		follow(nc, subject, onEvent)
	}
	if request := os.Getenv("TAIL"); request != "" {
		tail(nc, prefix+".api."+session, request)
	}

	select {
	case <-ending:
		nc.Close()
		<-closed
	case <-closed:
		os.Exit(1)
	}
}

// follow subscribes and says when the server knows about it: lines that come later are not lost.
func follow(nc *nats.Conn, subject string, handler nats.MsgHandler) {
	if _, err := nc.Subscribe(subject, handler); err != nil {
		say("error", line{"reason": err.Error()})
		return
	}
	if err := nc.Flush(); err == nil {
		say("subscribed", line{"subject": subject})
	}
}

func onEvent(m *nats.Msg) {
	sequence, err := strconv.Atoi(m.Header.Get("Nats-Sequence"))
	if err != nil || m.Header.Get("Nats-Stream") != "RECORDS" {
		// Not from the stream: somebody has published it himself.
		say("dropped", line{"subject": m.Subject})
		return
	}
	var event struct {
		EventType  string `json:"event_type"`
		ObjectUUID string `json:"object_uuid"`
	}
	if err := json.Unmarshal(m.Data, &event); err != nil {
		say("error", line{"reason": err.Error()})
		return
	}
	say("event", line{
		"subject": m.Subject, "event_type": event.EventType, "object_uuid": event.ObjectUUID, "sequence": sequence,
	})
}

// onNotice logs in again where that brings new rights; where rights shrank, the server cuts us off anyway.
func onNotice(nc *nats.Conn, m *nats.Msg) {
	var notice struct {
		Notice string `json:"notice"`
		Code   int    `json:"code"`
	}
	if err := json.Unmarshal(m.Data, &notice); err != nil {
		say("error", line{"reason": err.Error()})
		return
	}
	say("notice", line{"notice": notice.Notice, "code": notice.Code})
	if notice.Notice == "permissionsGrown" || notice.Notice == "objectsMoved" {
		if err := nc.ForceReconnect(); err != nil {
			say("error", line{"reason": err.Error()})
		}
	}
}

// tail asks for a log and prints its chunks; half a window at a time it says that there is room for more.
func tail(nc *nats.Conn, api string, request string) {
	const refill = 32
	inbox := nc.NewRespInbox()
	id, taken := "", 0
	_, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		header := m.Header
		switch {
		case header.Get("Nats-Service-Error") != "" || header.Get("Status") == "503":
			say("refused", line{"code": header.Get("Nats-Service-Error-Code"), "reason": header.Get("Nats-Service-Error")})
		case header.Get("Arvados-Notice") != "":
			say("tail_ended", line{"notice": header.Get("Arvados-Notice")})
		case header.Get("Arvados-Log-Offset") != "":
			offset, _ := strconv.Atoi(header.Get("Arvados-Log-Offset"))
			say("chunk", line{"offset": offset, "text": string(m.Data)})
			if taken++; taken >= refill && id != "" {
				more, _ := json.Marshal(line{"id": id, "n": taken})
				taken = 0
				if err := nc.Publish(api+".more", more); err != nil {
					say("error", line{"reason": err.Error()})
				}
			}
		default:
			var opened struct {
				ID string `json:"id"`
			}
			_ = json.Unmarshal(m.Data, &opened)
			id = opened.ID
			say("tail", line{"id": id})
		}
	})
	if err == nil {
		err = nc.PublishRequest(api+".tail", inbox, []byte(request))
	}
	if err != nil {
		say("error", line{"reason": err.Error()})
	}
}
