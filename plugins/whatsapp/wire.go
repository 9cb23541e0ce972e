package main

import "encoding/json"

// The types of this file are the webhook's JSON, as much of it as the plugin
// reads. An element of a list that has the wrong type reads as a zero value;
// what may have to be kept as it came stays raw.

type envelope struct {
	Object  str     `json:"object"`
	Entries []entry `json:"entry"`
}

type entry struct {
	ID      str      `json:"id"`
	Time    str      `json:"time"`
	Changes []change `json:"changes"`
}

type change struct {
	Field str             `json:"field"`
	Value json.RawMessage `json:"value"`
}

type metadata struct {
	DisplayPhoneNumber str `json:"display_phone_number"`
	PhoneNumberID      str `json:"phone_number_id"`
}

// value is that of the fields which carry messages, statuses or preferences.
type value struct {
	Metadata        metadata          `json:"metadata"`
	Contacts        []profile         `json:"contacts"`
	Messages        []json.RawMessage `json:"messages"`
	MessageEchoes   []json.RawMessage `json:"message_echoes"`
	Statuses        []json.RawMessage `json:"statuses"`
	Errors          []json.RawMessage `json:"errors"`
	UserPreferences []json.RawMessage `json:"user_preferences"`

	// people are the contacts, made once the value is read.
	people directory
}

type profile struct {
	Profile struct {
		Name     str `json:"name"`
		Username str `json:"username"`
	} `json:"profile"`
	WaID         str `json:"wa_id"`
	UserID       str `json:"user_id"`
	ParentUserID str `json:"parent_user_id"`
}

type message struct {
	ID               str         `json:"id"`
	From             str         `json:"from"`
	FromUserID       str         `json:"from_user_id"`
	FromParentUserID str         `json:"from_parent_user_id"`
	To               str         `json:"to"`
	ToUserID         str         `json:"to_user_id"`
	Timestamp        str         `json:"timestamp"`
	Type             str         `json:"type"`
	GroupID          str         `json:"group_id"`
	Context          quoted      `json:"context"`
	Referral         *referral   `json:"referral"`
	Errors           []graphBody `json:"errors"`

	Text        body              `json:"text"`
	Image       *file             `json:"image"`
	Video       *file             `json:"video"`
	Audio       *file             `json:"audio"`
	Voice       *file             `json:"voice"`
	Document    *file             `json:"document"`
	Sticker     *file             `json:"sticker"`
	Location    *place            `json:"location"`
	Contacts    []json.RawMessage `json:"contacts"`
	Interactive *interactive      `json:"interactive"`
	Button      *struct {
		Payload str `json:"payload"`
		Text    str `json:"text"`
	} `json:"button"`
	Reaction *struct {
		MessageID str `json:"message_id"`
		Emoji     str `json:"emoji"`
	} `json:"reaction"`
	Order *struct {
		Text  str               `json:"text"`
		Items []json.RawMessage `json:"product_items"`
	} `json:"order"`
	System *system `json:"system"`
	Edit   *struct {
		OriginalMessageID str `json:"original_message_id"`
		Message           struct {
			Text body `json:"text"`
		} `json:"message"`
	} `json:"edit"`
	Revoke *struct {
		OriginalMessageID str `json:"original_message_id"`
	} `json:"revoke"`
	Unsupported struct {
		Type str `json:"type"`
	} `json:"unsupported"`
}

type body struct {
	Body str `json:"body"`
}

type quoted struct {
	ID                  str  `json:"id"`
	Forwarded           bool `json:"forwarded"`
	FrequentlyForwarded bool `json:"frequently_forwarded"`
}

type referral struct {
	SourceURL    str `json:"source_url"`
	SourceID     str `json:"source_id"`
	SourceType   str `json:"source_type"`
	Headline     str `json:"headline"`
	Body         str `json:"body"`
	ImageURL     str `json:"image_url"`
	VideoURL     str `json:"video_url"`
	ThumbnailURL str `json:"thumbnail_url"`
	ClickID      str `json:"ctwa_clid"`
}

type file struct {
	ID       str  `json:"id"`
	URL      str  `json:"url"`
	MIMEType str  `json:"mime_type"`
	SHA256   str  `json:"sha256"`
	Caption  str  `json:"caption"`
	FileName str  `json:"filename"`
	Voice    bool `json:"voice"`
}

type place struct {
	Latitude  str `json:"latitude"`
	Longitude str `json:"longitude"`
	Name      str `json:"name"`
	Address   str `json:"address"`
}

type card struct {
	Name struct {
		FormattedName str `json:"formatted_name"`
		FirstName     str `json:"first_name"`
		LastName      str `json:"last_name"`
	} `json:"name"`
	Phones []struct {
		Phone str `json:"phone"`
		WaID  str `json:"wa_id"`
	} `json:"phones"`
	Emails []struct {
		Email str `json:"email"`
	} `json:"emails"`
	Org struct {
		Company str `json:"company"`
	} `json:"org"`
}

type interactive struct {
	Type        str  `json:"type"`
	ButtonReply *row `json:"button_reply"`
	ListReply   *row `json:"list_reply"`
	FormReply   *struct {
		Name     str             `json:"name"`
		Body     str             `json:"body"`
		Response json.RawMessage `json:"response_json"`
	} `json:"nfm_reply"`
	CallPermission json.RawMessage `json:"call_permission_reply"`
}

type row struct {
	ID          str `json:"id"`
	Title       str `json:"title"`
	Description str `json:"description"`
}

type system struct {
	Type                 str `json:"type"`
	WaID                 str `json:"wa_id"`
	NewWaID              str `json:"new_wa_id"` // the name before version 12
	UserID               str `json:"user_id"`
	ParentUserID         str `json:"parent_user_id"`
	PreviousUserID       str `json:"previous_user_id"`
	PreviousParentUserID str `json:"previous_parent_user_id"`
}

type status struct {
	ID                      str         `json:"id"`
	Status                  str         `json:"status"`
	Timestamp               str         `json:"timestamp"`
	RecipientType           str         `json:"recipient_type"`
	RecipientID             str         `json:"recipient_id"`
	RecipientUserID         str         `json:"recipient_user_id"`
	ParentRecipientUserID   str         `json:"parent_recipient_user_id"`
	ParticipantID           str         `json:"recipient_participant_id"`
	ParticipantUserID       str         `json:"recipient_participant_user_id"`
	ParentParticipantUserID str         `json:"recipient_participant_parent_user_id"`
	CallbackData            str         `json:"biz_opaque_callback_data"`
	Errors                  []graphBody `json:"errors"`
	Pricing                 struct {
		Category str `json:"category"`
	} `json:"pricing"`
}

// graphBody is an error as the Graph API answers it and as statuses carry it.
type graphBody struct {
	Code      str  `json:"code"`
	Subcode   str  `json:"error_subcode"`
	Title     str  `json:"title"`
	Message   str  `json:"message"`
	Transient bool `json:"is_transient"`
	TraceID   str  `json:"fbtrace_id"`
	Data      struct {
		Details str `json:"details"`
	} `json:"error_data"`
}

// words are the best that the error says of itself.
func (g graphBody) words() string {
	for _, s := range []str{g.Data.Details, g.Message, g.Title} {
		if s != "" {
			return string(s)
		}
	}
	return ""
}
